import type { AddressPool } from './address-pool.ts'
import type { BackoffOptions } from './backoff.ts'
import type { ReconnectorState } from './state.ts'

/** The only time that a reconnector knows. */
export interface Clock {
  /** Runs the task once, after so many milliseconds, unless it is cancelled. */
  setTimer(task: () => void, delay: number): { cancel(): void }
}

/** Where an attempt is. */
export interface AttemptContext {
  /** From 1 since something lasted. */
  readonly attempt: number
  /** How many addresses were tried in this attempt before this one. */
  readonly tried: number
}

/** What a callback throws, but for `attempt` and `delay`, is thrown again in a microtask: it changes nothing here. */
export interface ReconnectorOptions<A, C extends object> {
  /** Where to try; each attempt tries each address once, the last good one first. */
  readonly pool: AddressPool<A>
  readonly clock: Clock
  /** A number from 0 to below 1, for the jitter. */
  readonly random: () => number
  readonly backoff?: BackoffOptions
  /** In place of `backoff`: how many milliseconds to wait before an attempt, `Infinity` for until `retryNow` or `connect`. */
  delay?(attempt: number, error: unknown): number
  /**
   * How long an attempt at one address may take, in milliseconds; then its signal aborts, and it has failed with
   * `TIMEOUT`. Default 30 s; `Infinity`: as long as it takes.
   */
  readonly attemptTimeout?: number
  /** After so many attempts in a row that failed, or did not last, it is given up. Default −1: never. */
  readonly maxAttempts?: number
  /**
   * Connects, with every handshake that belongs to it. Should end soon after the signal aborts: `cancel`, `close` and
   * the next attempt wait for that, a second at most. A success that comes later still is disposed of.
   */
  attempt(address: A, signal: AbortSignal, context: AttemptContext): Promise<C>
  /** Closes what is not wanted any more: a success that came too late, or what was replaced. */
  dispose(connection: C): void | Promise<void>
  /** Whether an error at one address says enough: the other ones are not tried in this attempt, and it is not the address's failure. */
  concernsAll?(error: unknown): boolean
  /** Makes one error of those of an attempt, one for each address. Default: the only one, or an `AggregateError`. */
  combine?(errors: readonly unknown[]): unknown
  /** Whether no further attempt can help, for example because the same wrong password was refused twice. */
  giveUp?(error: unknown, previous: unknown): boolean
  /** After each change; may call any method. */
  onState?(state: ReconnectorState<C>): void
}
