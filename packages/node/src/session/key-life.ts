import type { Cancellable, Clock } from '../clock.ts'

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
  #used = 0
  #phase: 'fresh' | 'due' | 'over' = 'fresh'

  constructor(options: KeyLifeOptions) {
    this.#options = options
  }

  start(): void {
    const { clock, age } = this.#options
    this.stop()
    this.#timer = clock.setTimer(() => {
      this.#timer = clock.setTimer(() => this.#over(), age)
      this.#due()
    }, age)
  }

  /** So many bytes were sealed or opened. */
  used(bytes: number): void {
    this.#used += bytes
    if (this.#used < this.#options.bytes) return
    if (this.#used < 2 * this.#options.bytes) this.#due()
    else this.#over()
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }

  #due(): void {
    if (this.#phase !== 'fresh') return
    this.#phase = 'due'
    this.#options.due()
  }

  #over(): void {
    if (this.#phase === 'over') return
    this.#phase = 'over'
    this.stop()
    this.#options.over()
  }
}
