import type { Cancellable, Clock } from '../clock.ts'
import type { Holding, PendingMemory } from '../limits/pending-memory.ts'

export interface OpeningOptions {
  readonly clock: Clock
  /** Milliseconds. */
  readonly timeout: number
  readonly pending: PendingMemory
  /** Whether the peer is one of ours: it is dropped last. */
  known(): boolean
  /** It took longer than `timeout`. */
  late(timeout: number): void
  /** Memory is needed for others. */
  drop(): void
}

/** What a session may take until it is established: time, and memory. */
export class Opening {
  readonly #options: OpeningOptions
  #timer: Cancellable | undefined
  #holding: Holding | undefined // from the first byte that is held
  #partial = 0 // bytes of a control record that is not whole
  #over = false

  constructor(options: OpeningOptions) {
    this.#options = options
  }

  begin(): void {
    const { clock, timeout, late } = this.#options
    this.#timer = clock.setTimer(() => late(timeout), timeout)
  }

  /** So many bytes more are kept for it, or less. */
  hold(bytes: number): void {
    if (this.#over || bytes === 0) return
    const { pending, known, drop } = this.#options
    this.#holding ??= pending.open(known, drop)
    this.#holding.add(bytes)
  }

  /** So many bytes of a control record are here that is not whole. */
  partial(bytes: number): void {
    this.hold(bytes - this.#partial)
    this.#partial = bytes
  }

  /** It is established, or has ended. */
  end(): void {
    this.#over = true
    this.#timer?.cancel()
    this.#holding?.release()
  }
}
