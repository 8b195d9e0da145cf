import { LinkedList } from '../linked-list.ts'
import { Owned } from '../memory.ts'

/** A call of `send` that waits until its message is accepted. */
interface WaitingSend {
  readonly data: Owned
  readonly size: number
  readonly confirm: boolean
  /** Called as soon as it no longer waits, accepted or not. */
  readonly over: (() => void)[]
  /** It is accepted, with this sequence: an abort no longer takes it back. */
  accept(sequence: number): void
  reject(error: unknown): void
}

/** Calls of `send` on one name that wait to be accepted, in order. */
export class WaitingSends {
  readonly #list = new LinkedList<WaitingSend>()
  #bytes = 0

  get empty(): boolean {
    return this.#list.empty
  }

  get size(): number {
    return this.#list.size
  }

  /** Bytes of their messages. */
  get bytes(): number {
    return this.#bytes
  }

  get first(): WaitingSend | undefined {
    return this.#list.first
  }

  get last(): WaitingSend | undefined {
    return this.#list.last
  }

  [Symbol.iterator](): Iterator<WaitingSend> {
    return this.#list[Symbol.iterator]()
  }

  /** One more, behind the others. Resolves with what `accepted` makes of its sequence; `aborted`: it has gone, by its signal. */
  add(
    data: Uint8Array,
    confirm: boolean,
    signal: AbortSignal | undefined,
    tell: { accepted(sequence: number): number | Promise<number>; aborted(): void },
  ): Promise<number> {
    const size = data.length
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        waiting.reject((signal as AbortSignal).reason)
        tell.aborted()
      }
      const end = (settle: () => void): void => {
        if (this.#list.remove(place)) this.#bytes -= size
        signal?.removeEventListener('abort', abort)
        settle()
        for (const over of waiting.over) over()
      }
      const waiting: WaitingSend = {
        size,
        // A copy, also of a Buffer: the caller may reuse its memory before this is accepted.
        data: new Owned(new Uint8Array(data)),
        confirm,
        over: [],
        accept: (sequence) => end(() => resolve(tell.accepted(sequence))),
        reject: (error) => end(() => reject(error)),
      }
      signal?.addEventListener('abort', abort, { once: true })
      const place = this.#list.push(waiting)
      this.#bytes += size
    })
  }
}
