/** Memory that may be held or promised. A child's share is its parent's too. */
export class Budget {
  readonly #max: number
  readonly #parent: Budget | undefined
  #used = 0
  #held = 0

  constructor(max: number, parent?: Budget) {
    this.#max = max
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
    return Math.max(0, Math.min(this.#max - this.#used, this.#parent?.left ?? Number.POSITIVE_INFINITY))
  }

  /** Takes `amount`, or nothing and returns false. */
  reserve(amount: number): boolean {
    if (amount > this.left) return false
    this.charge(amount, 0)
    return true
  }

  /** Counts what is there already, and how much of it is held rather than promised; negative when it goes. */
  charge(amount: number, held: number): void {
    this.#used += amount
    this.#held += held
    this.#parent?.charge(amount, held)
  }
}
