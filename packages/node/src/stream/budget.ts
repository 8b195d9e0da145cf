/** Memory that may be held or promised. A child's share is its parent's too. */
export class Budget {
  readonly #max: number
  readonly #parent: Budget | undefined
  #used = 0

  constructor(max: number, parent?: Budget) {
    this.#max = max
    this.#parent = parent
  }

  /** Bytes that are held or promised now. */
  get used(): number {
    return this.#used
  }

  /** What could be reserved now. */
  get left(): number {
    return Math.max(0, Math.min(this.#max - this.#used, this.#parent?.left ?? Number.POSITIVE_INFINITY))
  }

  /** Takes `amount`, or nothing and returns false. */
  reserve(amount: number): boolean {
    if (amount > this.left) return false
    this.charge(amount)
    return true
  }

  /** Counts what is there already, negative when it goes. */
  charge(amount: number): void {
    this.#used += amount
    this.#parent?.charge(amount)
  }
}
