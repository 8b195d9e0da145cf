import type { LoopShare } from '../limits/loop-share.ts'
import { PulledSubscription } from '../subscription.ts'
import type { Consumer } from './consumer.ts'
import type { Message } from './message.ts'

interface MessageSource {
  take(): Message | undefined
  release(): void
}

/** The pull form of consuming: a message is consumed when the promise of `next()` has resolved. */
export class MessageIterator extends PulledSubscription<Message> implements Consumer {
  readonly #source: MessageSource
  readonly #loop: LoopShare
  #awaitsTurn = false
  #ended = false
  /** Which of several names is next. */
  turn = 0

  constructor(loop: LoopShare, source: MessageSource) {
    super()
    this.#loop = loop
    this.#source = source
  }

  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#source.release()
    this.finish()
  }

  async close(): Promise<void> {
    this.end()
  }

  protected take(): Message | undefined {
    if (this.#ended || this.#awaitsTurn) return undefined
    // A loop over messages that are here already would otherwise never let anybody else run.
    if (!this.#loop.worked()) return this.#source.take()
    this.#awaitsTurn = true
    this.#loop.wait(this, () => {
      this.#awaitsTurn = false
      this.wake()
    })
    return undefined
  }
}
