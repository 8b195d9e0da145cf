import { type CreditPool, NO_POOL } from './credit-pool.ts'

/** The credit of one name in one session, counted in the same way by its sender and by its receiver. All in cost. */
export class CreditLedger {
  #pool: CreditPool = NO_POOL
  #used = 0
  #limit = 0
  #returned = 0 // of the limit
  #overflow = 0 // what is used beyond the limit, out of the pool

  /** A session begins: everything comes out of this pool until a limit is granted. */
  begin(pool: CreditPool): void {
    this.#pool = pool
    this.#used = 0
    this.#limit = 0
    this.#returned = 0
    this.#overflow = 0
  }

  get used(): number {
    return this.#used
  }

  /** What the receiver has granted, what was returned included. */
  get limit(): number {
    return this.#limit
  }

  /** What was returned of it in this session in total. */
  get returned(): number {
    return this.#returned
  }

  /** The limit of which nothing would be unused. */
  get spent(): number {
    return this.#used + this.#returned
  }

  /** What of the limit is not used; below 0: what comes out of the pool. */
  get unused(): number {
    return this.#limit - this.spent
  }

  /** What may still be used. */
  get left(): number {
    return Math.max(0, this.unused) + this.#pool.left
  }

  /** What is used beyond the limit. */
  get overflow(): number {
    return this.#overflow
  }

  get poolSize(): number {
    return this.#pool.size
  }

  /** Whether more is used than there is. */
  get overdrawn(): boolean {
    return this.#pool.left < 0
  }

  /** So much more is used; negative: it is given up. */
  use(cost: number): void {
    this.#used += cost
    this.#countOverflow()
  }

  /** The limit is raised; one behind the present one changes nothing. */
  raise(limit: number): void {
    this.#limit = Math.max(this.#limit, limit)
    this.#countOverflow()
  }

  /** So much of the limit is not used any more. */
  giveBack(cost: number): void {
    this.#returned += cost
    this.#countOverflow()
  }

  #countOverflow(): void {
    const overflow = Math.max(0, -this.unused)
    this.#pool.take(overflow - this.#overflow)
    this.#overflow = overflow
  }
}
