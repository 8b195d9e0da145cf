import { LinkedList } from '../linked-list.ts'

/** Those that wait for room go on when so much of it is free again. */
const LOW = 0.5

/** What is kept for one peer, or for all, until it is consumed: a peer that grants more than it takes gets no more than this. */
export class Kept {
  readonly max: number
  readonly #whole: Kept | undefined
  #cost = 0
  readonly #waiting = new LinkedList<() => void>()
  #rouses = false // in this turn

  /** @param whole of which this is a part, with a limit of its own */
  constructor(max: number, whole?: Kept) {
    this.max = max
    this.#whole = whole
  }

  /** What is kept now, in cost. */
  get cost(): number {
    return this.#cost
  }

  add(cost: number): void {
    this.#cost += cost
    this.#whole?.add(cost)
    if (cost < 0) this.#rouse()
  }

  /** Whether so much more stays within this part of the limits. */
  hasRoom(cost: number, part: number): boolean {
    return this.#fits(cost, part) && this.#whole?.hasRoom(cost, part) !== false
  }

  /** Calls back, once, when there may be room for so much within this part; those that wait are called in turns. */
  wait(cost: number, part: number, resume: () => void): void {
    const short = this.#whole === undefined || !this.#fits(cost, part) ? this : this.#whole
    short.#waiting.push(resume)
  }

  #fits(cost: number, part: number): boolean {
    return this.#cost + cost <= this.max * part
  }

  /** After what freed the room is complete: it may belong to a sender that is called. */
  #rouse(): void {
    if (this.#rouses || this.#waiting.empty) return
    this.#rouses = true
    queueMicrotask(() => {
      this.#rouses = false
      for (let left = this.#waiting.size; left > 0 && this.#cost <= this.max * LOW; left--) this.#waiting.shift()?.()
    })
  }
}
