import type { Clock } from '../clock.ts'

/** What a peer may ask at once, and how much of it comes back in a second. An honest peer asks a few times a second. */
const [MOST, PER_SECOND] = [2000, 500]

/**
 * What a peer may ask of us that brings nobody a message: pings, names, streams that belong to no session, sessions. Who
 * asks without end breaks the protocol. (A token bucket.)
 */
export class Allowance {
  readonly #clock: Clock
  #left = MOST
  #at: number

  constructor(clock: Clock) {
    this.#clock = clock
    this.#at = clock.elapsed()
  }

  /** Whether that was still allowed. */
  take(cost = 1): boolean {
    const now = this.#clock.elapsed()
    this.#left = Math.min(MOST, this.#left + ((now - this.#at) * PER_SECOND) / 1000)
    this.#at = now
    if (this.#left < cost) return false
    this.#left -= cost
    return true
  }
}
