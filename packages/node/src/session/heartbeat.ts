import type { Cancellable, Clock } from '../clock.ts'

/** How late a timer may fire before it is this machine that slept or stood still, in milliseconds. */
const STALL = 1000

export interface HeartbeatOptions {
  readonly clock: Clock
  readonly interval: number
  readonly timeout: number
  ping(): void
  /** The peer has been silent for `timeout`. Called once. */
  dead(): void
}

/** Pings on its own timer and notices silence. A blocked event loop or a resumed laptop is not a dead peer. */
export class Heartbeat {
  readonly #options: HeartbeatOptions
  #pingTimer: Cancellable | undefined // from start to stop
  #deathTimer: Cancellable | undefined // likewise
  #lastHeard = 0

  constructor(options: HeartbeatOptions) {
    this.#options = options
  }

  start(): void {
    this.stop()
    this.heard()
    this.#schedulePing()
    this.#watch(this.#options.timeout)
  }

  /** How long ago the last sign of life was, in milliseconds. */
  get quietFor(): number {
    return this.#options.clock.elapsed() - this.#lastHeard
  }

  /** Any record that opened is a sign of life. */
  heard(): void {
    this.#lastHeard = this.#options.clock.elapsed()
  }

  stop(): void {
    this.#pingTimer?.cancel()
    this.#deathTimer?.cancel()
    this.#pingTimer = undefined
    this.#deathTimer = undefined
  }

  #schedulePing(): void {
    const { clock, interval, ping } = this.#options
    this.#pingTimer = clock.setTimer(() => {
      this.#schedulePing()
      ping()
    }, interval)
  }

  #watch(delay: number): void {
    const { clock, timeout } = this.#options
    const due = clock.elapsed() + delay
    this.#deathTimer = clock.setTimer(() => {
      if (clock.elapsed() - due > STALL) return this.#watch(timeout) // we were away ourselves: start afresh
      const left = this.#lastHeard + timeout - clock.elapsed()
      if (left > 0) return this.#watch(left)
      // What arrived while the loop was busy is read in its next turn: look again after it.
      clock.setImmediate(() => clock.setImmediate(() => this.#lookAgain()))
    }, delay)
  }

  #lookAgain(): void {
    if (this.#deathTimer === undefined) return // stopped meanwhile
    const { clock, timeout, dead } = this.#options
    const left = this.#lastHeard + timeout - clock.elapsed()
    if (left > 0) return this.#watch(left)
    this.stop()
    dead()
  }
}
