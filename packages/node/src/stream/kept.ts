/** What is kept for one peer, or for all, until it is consumed: a peer that grants more than it takes gets no more than this. */
export class Kept {
  readonly max: number
  readonly #whole: Kept | undefined
  #cost = 0

  /** @param whole of which this is a part, with a limit of its own */
  constructor(max: number, whole?: Kept) {
    this.max = max
    this.#whole = whole
  }

  add(cost: number): void {
    this.#cost += cost
    this.#whole?.add(cost)
  }

  /** Whether so much more stays within this part of the limits. */
  hasRoom(cost: number, part: number): boolean {
    return this.#cost + cost <= this.max * part && this.#whole?.hasRoom(cost, part) !== false
  }
}
