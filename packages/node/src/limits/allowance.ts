import type { Clock } from '../clock.ts'

/** What a remote may ask of us before it is told that it asks too much: so much at once, so much comes back in a second. (A token bucket.) */
export class Allowance {
  readonly #clock: Clock
  readonly #most: number
  readonly #perSecond: number
  #left: number
  #at: number

  constructor(clock: Clock, most: number, perSecond: number) {
    this.#clock = clock
    this.#most = most
    this.#perSecond = perSecond
    this.#left = most
    this.#at = clock.elapsed()
  }

  /** Whether that was still allowed. */
  take(cost = 1): boolean {
    const now = this.#clock.elapsed()
    this.#left = Math.min(this.#most, this.#left + ((now - this.#at) * this.#perSecond) / 1000)
    this.#at = now
    if (this.#left < cost) return false
    this.#left -= cost
    return true
  }

  /** We have asked for as much. */
  give(cost: number): void {
    this.#left = Math.min(this.#most, this.#left + cost)
  }
}
