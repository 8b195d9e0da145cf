import { Account, type Budget } from './budget.ts'
import { CreditLedger } from './credit-ledger.ts'
import { type CreditPool, NO_POOL } from './credit-pool.ts'

/** A window grows while no more than this part of the budgets is used: the rest is for senders that ask. */
const GROWTH_PART = 0.5

export interface ReceiveCreditOptions {
  /** A sender that asks is granted so much at once. */
  readonly firstWindow: number
  readonly windowMax: number
  /** Of the peer. */
  readonly budget: Budget
}

/** The credit of one name at its receiver, in the present session (docs/protocol.md, Flow control). `held` is the cost of what is here. */
export class ReceiveCredit {
  readonly #options: ReceiveCreditOptions
  readonly #account: Account
  readonly #ledger = new CreditLedger() // of what has arrived, and of the limit as the sender knows it
  #window = 0 // cost that may be held here, or be on its way
  #established = false
  #wanted = 0 // the limit that the sender waits for
  #taken = 0 // cost taken since the window last grew

  constructor(options: ReceiveCreditOptions) {
    this.#options = options
    this.#account = new Account(options.budget)
  }

  /** Cost that may be held here: its own, and the pool's. */
  get room(): number {
    return this.#window + this.#ledger.poolSize
  }

  /** What may still come. */
  get left(): number {
    return this.#ledger.left
  }

  /** Whether there is hardly room for more in this session. */
  isFull(held: number): boolean {
    return this.#established && held > this.room * 0.75
  }

  /** A session begins, in which everything comes out of this pool until the sender asks for more. */
  attach(pool: CreditPool, held: number): void {
    this.#ledger.begin(pool)
    this.#taken = 0
    this.close(held)
  }

  establish(): void {
    this.#established = true
  }

  /** The session is over: nothing is promised any more. */
  detach(held: number): void {
    this.#established = false
    this.#ledger.begin(NO_POOL)
    this.close(held)
  }

  /** Nothing more is promised, in this session. */
  close(held: number): void {
    this.#window = 0
    this.#wanted = 0
    this.recount(held)
  }

  /** So much has come. Returns false when that is more than the credit. */
  spend(cost: number): boolean {
    this.#ledger.use(cost)
    return !this.#ledger.overdrawn
  }

  /** The application has taken so much: the window doubles when it has taken a whole one, and shrinks by it while others wait for room. */
  take(cost: number, held: number): void {
    if (this.#account.contended) {
      this.#taken = 0
      return this.#resize(Math.max(0, this.#window - cost), held)
    }
    const { windowMax } = this.#options
    this.#taken += cost
    const base = Math.max(this.#window, this.#ledger.poolSize)
    if (this.#established && this.#ledger.used > 0 && this.#window < windowMax && this.#taken >= base) {
      this.#taken = 0
      const window = Math.min(2 * base, windowMax)
      if (this.#account.shortOf(window - this.#window, GROWTH_PART) === undefined) this.#window = window
    }
    this.recount(held)
  }

  /** By how much the limit could grow. */
  growth(held: number): number {
    return this.#window - held - this.#ledger.unused
  }

  /** The limit that the sender is told; `grants`: with all the credit that there is room for. */
  tell(held: number, grants: boolean): number {
    if (grants) this.#ledger.raise(this.#ledger.spent + this.#window - held)
    return this.#ledger.limit
  }

  /** The sender waits for this limit. */
  want(limit: number): void {
    this.#wanted = Math.max(this.#wanted, limit)
  }

  /** Grants what the sender waits for; or else says what has no room for it: the name itself, until something is taken, or a budget. */
  grant(held: number): 'name' | 'own' | 'parent' | undefined {
    const { firstWindow } = this.#options
    const window = held + Math.min(this.#wanted - this.#ledger.spent, firstWindow)
    if (window > this.#window) {
      // Else a name that nobody reads would be granted more and more, and its peer's other names nothing.
      if (window > firstWindow) return 'name'
      const more = Math.max(window, held) - Math.max(this.#window, held) + this.#inPool(held)
      const short = this.#account.shortOf(more, 1)
      if (short !== undefined) return short
    }
    this.#wanted = 0
    this.#resize(Math.max(window, this.#window), held)
    return undefined
  }

  /** The sender has given back so much in this session in total. Returns false for more than it has. */
  giveBack(returned: number, held: number): boolean {
    const more = returned - this.#ledger.returned
    if (more < 0 || returned > this.#ledger.limit) return false
    this.#ledger.giveBack(more)
    this.#taken = 0
    this.#resize(Math.max(0, this.#window - more), held)
    return !this.#ledger.overdrawn // what was sent behind it, and has overtaken it, came out of the pool
  }

  /** Counts in the budgets what is here, and what is promised. */
  recount(held: number): void {
    this.#account.set(Math.max(this.#window, held) - this.#inPool(held), held)
  }

  #resize(window: number, held: number): void {
    this.#window = window
    this.recount(held)
  }

  /** What of the pool will be in use when the sender has been told all that there is room for: it is counted there. */
  #inPool(held: number): number {
    return Math.min(this.#ledger.overflow, Math.max(0, held - this.#window))
  }
}
