import type { Inbox as AsyncInbox } from '../events.ts'
import type { Consumer } from './delivery.ts'
import type { Message } from './message.ts'

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined }

/** The pull form of consuming: a message is consumed when the promise of `next()` has resolved. */
export class MessageIterator implements AsyncInbox<Message>, Consumer {
  readonly #source: { take(): Message | undefined; release(): void }
  readonly #waiting: ((result: IteratorResult<Message, undefined>) => void)[] = []
  #ended = false
  /** Whose turn it is among several names. */
  turn = 0

  constructor(source: { take(): Message | undefined; release(): void }) {
    this.#source = source
  }

  next(): Promise<IteratorResult<Message, undefined>> {
    if (this.#ended) return Promise.resolve(DONE)
    if (this.#waiting.length === 0) {
      const value = this.#source.take()
      if (value !== undefined) return Promise.resolve({ done: false, value })
    }
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  wake(): void {
    while (this.#waiting.length > 0) {
      const value = this.#source.take()
      if (value === undefined) return
      this.#waiting.shift()?.({ done: false, value })
    }
  }

  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#source.release()
    for (const waiting of this.#waiting.splice(0)) waiting(DONE)
  }

  async return(): Promise<IteratorResult<Message, undefined>> {
    this.end()
    return DONE
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.end()
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}
