import type { Cancellable, Clock } from '../clock.ts'

/** How late a timer may fire before it is this machine that slept or stood still, in milliseconds. */
const STALL = 1000
/**
 * A ping waits for so much of the interval more, at most, and of what is left until the time-out: by chance, so that either
 * side is the one that pings.
 */
const [SPREAD, OF_THE_REST] = [0.25, 0.25]

export interface HeartbeatOptions {
  readonly clock: Clock
  readonly interval: number
  readonly timeout: number
  ping(): void
  /** The peer has been silent for `timeout`. Called once. */
  dead(): void
}

/** Pings when neither side has for an interval, and notices silence. A blocked event loop or a resumed laptop is not a dead peer. */
export class Heartbeat {
  readonly #options: HeartbeatOptions
  #pingTimer: Cancellable | undefined // from start to stop
  #deathTimer: Cancellable | undefined // likewise
  #lastHeard = 0
  #lastPing = 0 // of either side

  constructor(options: HeartbeatOptions) {
    this.#options = options
  }

  start(): void {
    this.stop()
    this.heard()
    this.pinged()
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

  /** The peer asks for a sign of life: that is one, and so is the answer, so this side need not ask. */
  pinged(): void {
    this.#lastPing = this.#options.clock.elapsed()
  }

  stop(): void {
    this.#pingTimer?.cancel()
    this.#deathTimer?.cancel()
    this.#pingTimer = undefined
    this.#deathTimer = undefined
  }

  #schedulePing(): void {
    const { clock, interval, timeout, ping } = this.#options
    const [chance] = clock.randomBytes(1) as Uint8Array & [number]
    const spread = Math.min(SPREAD * interval, OF_THE_REST * (timeout - interval))
    const due = this.#lastPing + interval + (spread * chance) / 256
    this.#pingTimer = clock.setTimer(() => {
      const asks = this.#lastPing + interval <= clock.elapsed()
      if (asks) this.pinged()
      this.#schedulePing()
      if (asks) ping()
    }, due - clock.elapsed())
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
