import type { Setup } from '@glueberry/wire'
import type { Cancellable, Clock } from '../clock.ts'

/** A peer that asks for new keys gets them no sooner than after so many milliseconds, or bytes: they cost both sides some work. */
const PACE_AGE = 1000
const PACE_BYTES = 32 * 1024 * 1024

export interface KeyLifeOptions {
  readonly clock: Clock
  /** Milliseconds and bytes until the keys should be renewed; at twice either they are no longer used. */
  readonly age: number
  readonly bytes: number
  /** The keys should be renewed. Called once. */
  due(): void
  /** They were not, and must not be used any more. Called once. */
  over(): void
}

/** How long a session's keys are used: after an hour, or many bytes, come new ones (docs/protocol.md, Key renewal). */
export class KeyLife {
  readonly #options: KeyLifeOptions
  #timer: Cancellable | undefined // from start to stop or over
  #paceTimer: Cancellable | undefined // from a request that came too soon until it is heard
  #bytes: number
  #used = 0
  #began = 0
  #phase: 'fresh' | 'due' | 'over' = 'fresh'

  constructor(options: KeyLifeOptions) {
    this.#options = options
    this.#bytes = options.bytes
  }

  /** @param inFlight what may be half sent at any moment, in bytes: a renewal discards that, so it must be a small part */
  start(inFlight: number): void {
    const { clock, age, bytes } = this.#options
    this.stop()
    this.#bytes = Math.max(bytes, 8 * inFlight)
    this.#began = clock.elapsed()
    this.#timer = clock.setTimer(() => {
      this.#timer = clock.setTimer(() => this.#over(), age)
      this.#due()
    }, age)
  }

  /** So many bytes were sealed or opened. */
  used(bytes: number): void {
    this.#used += bytes
    if (this.#used < this.#bytes) return
    if (this.#used < 2 * this.#bytes) this.#due()
    else this.#over()
  }

  /** Whether a peer that dialed may renew them already; half of what one that asks must wait for, because clocks differ. */
  get mature(): boolean {
    return this.#phase !== 'fresh' || this.#left <= PACE_AGE / 2 || this.#used >= PACE_BYTES / 2
  }

  /** The peer asks for new keys. */
  requested(): void {
    const left = this.#left
    if (left <= 0 || this.#used >= PACE_BYTES) return this.#due()
    this.#paceTimer ??= this.#options.clock.setTimer(() => this.#due(), left)
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#paceTimer?.cancel()
    this.#paceTimer = undefined
  }

  /** Until the keys have their pace's age, in milliseconds. */
  get #left(): number {
    return PACE_AGE - (this.#options.clock.elapsed() - this.#began)
  }

  #due(): void {
    if (this.#phase !== 'fresh') return
    this.#phase = 'due'
    this.#paceTimer?.cancel()
    this.#paceTimer = undefined
    this.#options.due()
  }

  #over(): void {
    if (this.#phase === 'over') return
    this.#phase = 'over'
    this.stop()
    this.#options.over()
  }
}

/** Bytes that the receiver that says this in SETUP may have half received: one largest message for each name. */
export function mayBeInFlight({ streams, largestMessage }: Setup): number {
  return streams.length * largestMessage
}
