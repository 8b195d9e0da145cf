import { withSignal } from './async.ts'

/** Calls that wait until something holds; they look again whenever it may have changed. */
export class Condition {
  #waiting: (() => void)[] = [] // few, and none for most peers: a set would cost each of them more

  /** Resolves when `holds` returns true: at once, or after a `notify`. Rejects with what `holds` throws, and with the signal's reason. */
  async until(holds: () => boolean, signal?: AbortSignal): Promise<void> {
    while (!holds()) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#waiting.push(resolve)
      try {
        await withSignal(promise, signal)
      } finally {
        this.#waiting = this.#waiting.filter((each) => each !== resolve)
      }
    }
  }

  /** What is waited for may have changed. */
  notify(): void {
    for (const resume of this.#waiting) resume()
  }
}
