import { withSignal } from './async.ts'

/** Calls that wait until something holds; they look again whenever it may have changed. */
export class Condition {
  readonly #waiting = new Set<() => void>()

  /** Resolves when `holds` returns true: at once, or after a `notify`. Rejects with what `holds` throws, and with the signal's reason. */
  async until(holds: () => boolean, signal?: AbortSignal): Promise<void> {
    while (!holds()) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#waiting.add(resolve)
      try {
        await withSignal(promise, signal)
      } finally {
        this.#waiting.delete(resolve)
      }
    }
  }

  /** What is waited for may have changed. */
  notify(): void {
    if (this.#waiting.size > 0) for (const resume of this.#waiting) resume()
  }
}
