/**
 * Credit of one session and direction that no name has for itself: what a name writes beyond its own limit comes from
 * here, and returns when that limit has grown (docs/protocol.md, Flow control).
 */
export class CreditPool {
  readonly size: number
  #used = 0

  constructor(size: number) {
    this.size = size
  }

  /** Cost that may still be taken. */
  get left(): number {
    return this.size - this.#used
  }

  /** Takes so much; negative: it returns. */
  take(cost: number): void {
    this.#used += cost
  }
}

/** Of a session that is not there: nothing. */
export const NO_POOL: CreditPool = new CreditPool(0)
