import { ByteQueue } from '@glueberry/wire'
import { freeWhole } from '../memory.ts'

/** What has come on a stream and is not yet read, and how the stream ended. One reader. */
export class ReceiveBuffer {
  /** The reader takes from here. */
  readonly queue: ByteQueue = new ByteQueue()
  /** What of the transport's may stand before what came in one buffer, in bytes. */
  readonly #framing: number
  readonly #over = Promise.withResolvers<void>()
  #ended = false
  #error: Error | undefined
  #discards = false
  /** Called when something has come, and when nothing more will. */
  #listener: (() => void) | undefined

  constructor(framing = 0) {
    this.#framing = framing
  }

  /** Whether nothing more comes. */
  get ended(): boolean {
    return this.#ended
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
    if (this.#discards) return
    for (const chunk of chunks) this.queue.push(chunk)
    this.#listener?.()
  }

  /** Nothing more comes. What is here can still be read; then the reader ends, or gets the error. */
  end(error?: Error): void {
    if (this.#ended) return
    this.#ended = true
    this.#error = error
    this.#over.resolve()
    this.#listener?.()
  }

  /** What the reader has taken is done with: its memory is freed at once, where nothing else lies in it. */
  release(bytes: Uint8Array): void {
    freeWhole(bytes, this.#framing)
  }

  /** Drops what is here, and what still comes. */
  discard(): void {
    this.#discards = true
    this.queue.drain()
  }

  /** Resolves when something has come, or nothing more will. */
  more(): Promise<void> {
    return new Promise((resolve) => {
      this.#listener = () => {
        this.#listener = undefined
        resolve()
      }
    })
  }

  /**
   * Calls `read` now and, synchronously, whenever something has come; while a promise that it returns is pending, what
   * comes stays in the queue. Resolves when the stream has ended and all is read; rejects with what broke the stream, or
   * with what `read` throws.
   */
  consume(read: (queue: ByteQueue) => Promise<void> | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      let reading = false
      const fail = (error: unknown): void => {
        this.#listener = undefined
        reject(error)
      }
      const step = (): void => {
        if (reading) return // `read` itself has ended the stream: it is looked at when it returns
        reading = true
        try {
          const turn = read(this.queue)
          if (turn === undefined) this.#listener = step
          else {
            this.#listener = undefined
            turn.then(step, fail)
          }
          if (turn !== undefined || !this.#ended) return
          this.#listener = undefined
          if (this.#error === undefined) resolve()
          else reject(this.#error)
        } catch (error) {
          fail(error)
        } finally {
          reading = false
        }
      }
      step()
    })
  }
}
