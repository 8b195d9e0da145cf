import { CreditLedger } from './credit-ledger.ts'
import { type CreditPool, NO_POOL } from './credit-pool.ts'

/** A sender asks for so much at least when it asks first, in cost: it will hardly be the last. */
const FIRST_WANT = 256 * 1024

/** The credit of one name at its sender, in the present session (docs/protocol.md, Flow control). */
export class SendCredit {
  readonly #ledger = new CreditLedger() // of what is written, and of what has begun: that is used at once
  #begun = 0 // cost of what is not yet written of a message that has begun
  #wanted = 0 // the limit that the receiver was asked for last
  #most = 0 // what was left at most

  get limit(): number {
    return this.#ledger.limit
  }

  /** What may be spent now. */
  get left(): number {
    return this.#ledger.left
  }

  /** What was left at most: the peer's window, as far as it is known. */
  get most(): number {
    return this.#most
  }

  /** Cost of what is not yet written of a message that has begun. */
  get begun(): number {
    return this.#begun
  }

  /** What of the limit is not used. */
  get unused(): number {
    return this.#ledger.unused
  }

  /** A session begins. */
  begin(pool: CreditPool): void {
    this.#ledger.begin(pool)
    this.#begun = 0
    this.#wanted = 0
    this.#most = pool.left
  }

  /** No session: nothing can be spent. */
  end(): void {
    this.begin(NO_POOL)
  }

  /** The receiver grants this limit; one behind the present one changes nothing. */
  grant(limit: number): void {
    this.#ledger.raise(limit)
    this.#most = Math.max(this.#most, this.left)
  }

  /** A message of so much cost begins, if there is credit for all of it. */
  start(cost: number): boolean {
    if (cost > this.left) return false
    this.#begun = cost
    this.#ledger.use(cost)
    return true
  }

  /** So much is written, of a message that has begun. */
  spend(cost: number): void {
    this.#begun -= cost
  }

  /** The rest of the message that has begun is not written any more. */
  abandon(): void {
    this.#ledger.use(-this.#begun)
    this.#begun = 0
  }

  /**
   * The limit to ask for: the next message does not fit, and consumption of what is in flight will not change that; or it
   * is the first time in this session that the credit is too little. `undefined` otherwise. All in cost.
   *
   * @returns `returned`: how much was given back in this session in total, if what is left of the limit is too little to be
   *   of use; kept, it could be what others wait for
   */
  want(next: number, all: number, inFlight: number): { limit: number; returned: number | undefined } | undefined {
    if (next === 0 || this.#begun > 0 || this.#wanted > this.limit) return undefined
    const asked = this.#wanted > 0
    if (next <= this.left && (asked || all <= this.left)) return undefined
    if (asked && this.unused + inFlight >= next) return undefined
    const returned = next > this.left && this.unused > 0 ? this.giveBack() : undefined
    this.#wanted = this.#ledger.spent + Math.max(next, all, asked ? 0 : FIRST_WANT)
    return { limit: this.#wanted, returned }
  }

  /** Gives back what is not used. Returns how much that is in this session in total. */
  giveBack(): number {
    this.#ledger.giveBack(this.unused)
    this.#wanted = 0
    this.#most = this.left
    return this.#ledger.returned
  }
}
