import { LinkedList } from '../linked-list.ts'

interface Watcher {
  readonly sequence: number
  /** Waits for this message itself, not only for all before it. */
  readonly confirms: boolean
  resolve(): void
  reject(error: unknown): void
}

/** Calls that wait until messages of one name are consumed. */
export class Watchers {
  /** Ordered by sequence. */
  readonly #watchers = new LinkedList<Watcher>()
  /** Those of them that wait for a message itself. */
  readonly #confirms = new Map<number, Watcher>()

  /** Resolves when the last message that was accepted, which has this sequence, is consumed; `confirms`: with success. */
  watch(
    sequence: number,
    confirms: boolean,
    signal: AbortSignal | undefined,
    abortReason: () => unknown,
  ): Promise<number> {
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        // One that confirms stays until the peer has told of its message: that the peer tells is no fault of the peer.
        if (!confirms) this.#watchers.remove(place)
        reject(abortReason())
      }
      const done = (): void => {
        this.#watchers.remove(place)
        if (confirms) this.#confirms.delete(sequence)
        signal?.removeEventListener('abort', abort)
      }
      const watcher: Watcher = {
        sequence,
        confirms,
        resolve: () => {
          done()
          resolve(sequence)
        },
        reject: (error) => {
          done()
          reject(error)
        },
      }
      if (signal?.aborted === true) return reject(abortReason())
      signal?.addEventListener('abort', abort, { once: true })
      const place = this.#watchers.push(watcher) // always the last sequence: so they stay in order
      if (confirms) this.#confirms.set(sequence, watcher)
    })
  }

  /** Messages up to this one are consumed. */
  settle(consumed: number): void {
    for (let next = this.#watchers.first; next !== undefined && next.sequence <= consumed; ) {
      next.resolve()
      next = this.#watchers.first
    }
  }

  /** A message was consumed without success. Returns whether a call waits for it. */
  failed(sequence: number, error: () => unknown): boolean {
    const watcher = this.#confirms.get(sequence)
    watcher?.reject(error())
    return watcher !== undefined
  }

  /** Rejects the calls that wait for messages themselves, up to this one. */
  rejectThrough(last: number, error: (sequence: number) => unknown): void {
    for (const watcher of this.#watchers) {
      if (watcher.sequence > last) return
      if (watcher.confirms) watcher.reject(error(watcher.sequence))
    }
  }

  /** Rejects the calls that wait now; what is called by that may wait again. */
  rejectAll(error: unknown): void {
    for (const watcher of [...this.#watchers]) watcher.reject(error)
  }
}
