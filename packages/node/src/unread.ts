import { ByteQueue } from '@glueberry/wire'

/** What has come on a stream and is not yet read, and how the stream ended. One reader. */
export class Unread {
  readonly #over = Promise.withResolvers<void>()
  readonly #queue = new ByteQueue()
  #ended = false
  #error: Error | undefined
  #wake: (() => void) | undefined

  get bytes(): number {
    return this.#queue.length
  }

  /** What broke the stream off, if something did. */
  get error(): Error | undefined {
    return this.#error
  }

  /** Resolves when nothing more comes; whether or not anyone reads. */
  get over(): Promise<void> {
    return this.#over.promise
  }

  push(chunks: Iterable<Uint8Array>): void {
    for (const chunk of chunks) this.#queue.push(chunk)
    this.#notify()
  }

  /** Nothing more comes. What is here can still be read; then the reader ends, or gets the error. */
  end(error?: Error): void {
    this.#ended = true
    this.#error ??= error
    this.#over.resolve()
    this.#notify()
  }

  /** Throws away what is here. */
  clear(): void {
    this.#queue.drain()
  }

  async *read(): AsyncGenerator<Uint8Array> {
    for (;;) {
      if (this.#queue.length > 0) {
        yield* this.#queue.drain()
      } else if (this.#ended) {
        if (this.#error !== undefined) throw this.#error
        return
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
    }
  }

  #notify(): void {
    this.#wake?.()
    this.#wake = undefined
  }
}
