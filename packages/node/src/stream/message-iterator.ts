import type { Subscription } from '../events.ts'
import type { LoopShare } from '../limits/loop-share.ts'
import { LinkedList } from '../linked-list.ts'
import type { Consumer } from './consumer.ts'
import type { Message } from './message.ts'

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined }

/** The pull form of consuming: a message is consumed when the promise of `next()` has resolved. */
export class MessageIterator implements Subscription<Message>, Consumer {
  readonly #source: { take(): Message | undefined; release(): void }
  readonly #loop: LoopShare
  readonly #waiting = new LinkedList<(result: IteratorResult<Message, undefined>) => void>()
  #awaitsTurn = false
  #ended = false
  /** Which of several names is next. */
  turn = 0

  constructor(loop: LoopShare, source: { take(): Message | undefined; release(): void }) {
    this.#loop = loop
    this.#source = source
  }

  next(): Promise<IteratorResult<Message, undefined>> {
    if (this.#ended) return Promise.resolve(DONE)
    if (this.#waiting.empty && !this.#awaitsTurn) {
      // A loop over messages that are here already would otherwise never let anybody else run.
      if (this.#loop.worked()) this.#awaitTurn()
      else {
        const value = this.#source.take()
        if (value !== undefined) return Promise.resolve({ done: false, value })
      }
    }
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  wake(): void {
    if (this.#awaitsTurn) return
    while (!this.#waiting.empty) {
      const value = this.#source.take()
      if (value === undefined) return
      this.#waiting.shift()?.({ done: false, value })
    }
  }

  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#source.release()
    for (const waiting of this.#waiting.drain()) waiting(DONE)
  }

  async close(): Promise<void> {
    this.end()
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

  #awaitTurn(): void {
    this.#awaitsTurn = true
    this.#loop.wait(this, () => {
      this.#awaitsTurn = false
      if (!this.#ended) this.wake()
    })
  }
}
