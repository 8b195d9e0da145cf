import { LinkedList } from '../linked-list.ts'

/** Those that wait for room go on when so much of it is free again. */
const LOW = 0.5

/** Memory that may be held or promised. A child's share is its parent's too. */
export class Budget {
  readonly max: number
  readonly #parent: Budget | undefined
  #used = 0
  #held = 0
  readonly #waiting = new LinkedList<() => void>()
  #rouses = false // in this turn

  constructor(max: number, parent?: Budget) {
    this.max = max
    this.#parent = parent
  }

  /** Bytes that are held or promised now. */
  get used(): number {
    return this.#used
  }

  /** Bytes that are held now. */
  get held(): number {
    return this.#held
  }

  /** What could be reserved now. */
  get left(): number {
    return Math.max(0, Math.min(this.max - this.#used, this.#parent?.left ?? Number.POSITIVE_INFINITY))
  }

  /** Counts so much more as used, and so much more of it as held rather than promised; negative when it goes. */
  add(used: number, held: number): void {
    this.#used += used
    this.#held += held
    this.#parent?.add(used, held)
    if (used < 0) this.#rouse()
  }

  /** Whether so much more stays within this part of the limits. */
  hasRoom(amount: number, part: number): boolean {
    return this.#fits(amount, part) && this.#parent?.hasRoom(amount, part) !== false
  }

  /** Calls back, once, when there may be room for so much within this part; those that wait are called in turns. */
  wait(amount: number, part: number, resume: () => void): void {
    const short = this.#parent === undefined || !this.#fits(amount, part) ? this : this.#parent
    short.#waiting.push(resume)
  }

  #fits(amount: number, part: number): boolean {
    return this.#used + amount <= this.max * part
  }

  /** After what freed the room is complete: it may belong to a sender that is called. */
  #rouse(): void {
    if (this.#rouses || this.#waiting.empty) return
    this.#rouses = true
    queueMicrotask(() => {
      this.#rouses = false
      for (let left = this.#waiting.size; left > 0 && this.#used <= this.max * LOW; left--) this.#waiting.shift()?.()
    })
  }
}

/** What one user of a budget counts in it. */
export class Account {
  readonly #budget: Budget
  #used = 0
  #held = 0

  constructor(budget: Budget) {
    this.#budget = budget
  }

  /** So much is used now, and of it so much is held rather than promised. */
  set(used: number, held: number): void {
    const [moreUsed, moreHeld] = [used - this.#used, held - this.#held]
    if (moreUsed === 0 && moreHeld === 0) return
    this.#used = used
    this.#held = held
    this.#budget.add(moreUsed, moreHeld)
  }

  /** Promises `amount` more, or nothing and returns false. */
  reserve(amount: number): boolean {
    if (amount > this.#budget.left) return false
    this.set(this.#used + amount, this.#held)
    return true
  }
}
