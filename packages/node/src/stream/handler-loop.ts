import type { Cancellable } from '../clock.ts'
import { Condition } from '../condition.ts'
import { GlueberryError, textOf } from '../errors.ts'
import type { PeerId } from '../peer-id.ts'
import type { Closable } from '../subscription.ts'
import type { Consumer } from './consumer.ts'
import type { Inbox } from './inbox.ts'
import type { Message, ReceivedMessage } from './message.ts'

export interface HandleOptions {
  /** How often a handler is called again for a message that it failed on. */
  readonly retries: number
  /** How long to wait before that, in milliseconds. */
  readonly retryDelay: number
  readonly concurrency: number
  readonly ordered: boolean
  readonly signal: AbortSignal | undefined
}

interface HandlerSource {
  take(wanted: (inbox: Inbox) => boolean): { inbox: Inbox; message: ReceivedMessage } | undefined
  settle(inbox: Inbox, message: ReceivedMessage, failed: boolean): void
  failed(message: ReceivedMessage, error: GlueberryError): void
  /** Runs a handler so that code inside it is known to be there. */
  run(invocation: Invocation, task: () => unknown): unknown
  /** The handler that the calling code runs in, if it does. */
  inside(): Invocation | undefined
  release(): void
  /** One more message was worked on; whether the loop must wait for its turn. */
  worked(): boolean
  turn(resume: () => void): void
  later(task: () => void, delay: number): Cancellable
  /** It was not handled: another consumer may take it, of this program or of the next one. */
  putBack(inbox: Inbox, message: ReceivedMessage): void
}

/** One message in a handler, from its first call to its last. What it has started may go on after it: then it no longer runs. */
export interface Invocation {
  readonly loop: HandlerLoop
  running: boolean
  /** Its code waits for its own loop, or for all loops, to end: nobody waits for it then. */
  waits: boolean
}

/** What has become of a message; `unhandled`: its handler was told to stop first, so it is still to be consumed. */
type Outcome = 'handled' | 'failed' | 'unhandled'

/** The push form of consuming: a message is consumed when its handler has settled. */
export class HandlerLoop implements Closable, Consumer {
  readonly #handler: (message: Message, signal: AbortSignal) => unknown
  readonly #options: HandleOptions
  readonly #source: HandlerSource
  readonly #abort = new AbortController()
  /** What runs of each peer, when the order of its messages is kept. */
  readonly #busy = new Map<PeerId, { readonly inbox: Inbox; readonly invocation: Invocation }>()
  readonly #condition = new Condition()
  #pumping = false
  #awaitsTurn = false
  #ended = false
  #running = 0
  #waiting = 0 // of those that run, for a loop to end
  turn = 0

  constructor(
    handler: (message: Message, signal: AbortSignal) => unknown,
    options: HandleOptions,
    source: HandlerSource,
  ) {
    this.#handler = handler
    this.#options = options
    this.#source = source
  }

  /** Handlers that run, apart from those that wait for loops to end. */
  get active(): number {
    return this.#running - this.#waiting
  }

  /** Whether a handler waits for loops to end: the messages behind its own cannot be handled before. */
  get waits(): boolean {
    return this.#waiting > 0
  }

  /** Whether it has a message of this inbox, and those behind it have to wait for it. */
  holds(inbox: Inbox): boolean {
    const busy = this.#busy.get(inbox.peerId)
    return busy?.inbox === inbox && !busy.invocation.waits
  }

  /** The names are this loop's: from here on its signal counts. No handler runs before `handle` has returned. */
  start(): void {
    const { signal } = this.#options
    if (signal?.aborted === true) return this.end()
    signal?.addEventListener('abort', this.#onAbort, { once: true })
    queueMicrotask(() => this.wake())
  }

  readonly #onAbort = (): void => this.end()

  wake(): void {
    if (this.#pumping || this.#awaitsTurn || this.#ended) return
    this.#run()
  }

  end(): void {
    this.#ended = true
    this.#abort.abort(new GlueberryError('STOPPED', 'this handler was closed'))
    this.#options.signal?.removeEventListener('abort', this.#onAbort)
    this.#source.release()
  }

  /** Takes nothing more; resolves when every handler has settled, apart from those that wait for this. */
  close(): Promise<void> {
    this.end()
    const inside = this.#source.inside()
    if (inside?.loop === this) this.wait(inside)
    return this.#condition.until(() => this.active <= 0)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** The code of this handler waits for loops to end. */
  wait(invocation: Invocation): void {
    if (!invocation.running || invocation.waits) return
    invocation.waits = true
    this.#waiting++
    this.#condition.notify()
  }

  #awaitTurn(): void {
    this.#awaitsTurn = true
    this.#source.turn(() => {
      this.#awaitsTurn = false
      this.#run()
    })
  }

  #run(): void {
    this.#pumping = true
    try {
      this.#pump()
    } finally {
      this.#pumping = false
    }
  }

  #pump(): void {
    const { concurrency, ordered } = this.#options
    const wanted = ordered ? (inbox: Inbox) => !this.#busy.has(inbox.peerId) : anyone
    while (!this.#ended && this.#running < concurrency) {
      const taken = this.#source.take(wanted)
      if (taken === undefined) return
      this.#begin(taken.inbox, taken.message)
      if (this.#source.worked()) return this.#awaitTurn()
    }
  }

  #begin(inbox: Inbox, message: ReceivedMessage): void {
    const invocation: Invocation = { loop: this, running: true, waits: false }
    this.#running++
    const result = this.#call(message, invocation)
    if (result === undefined) return this.#finish(inbox, message, invocation, 'handled')
    if (this.#options.ordered) this.#busy.set(inbox.peerId, { inbox, invocation })
    this.#settled(result, message, invocation).then((outcome) => {
      this.#busy.delete(inbox.peerId)
      this.#finish(inbox, message, invocation, outcome)
      this.wake()
    })
  }

  /** The promise that the handler returns, if it does; a rejected one when it throws. */
  #call(message: ReceivedMessage, invocation: Invocation): PromiseLike<unknown> | undefined {
    try {
      const result = this.#source.run(invocation, () => this.#handler(message, this.#abort.signal))
      return isThenable(result) ? result : undefined
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** What becomes of a message, after as many calls of its handler as it takes. Never rejects. */
  async #settled(first: PromiseLike<unknown>, message: ReceivedMessage, invocation: Invocation): Promise<Outcome> {
    const { signal } = this.#abort
    let result: unknown = first
    for (let left = this.#options.retries; ; left--) {
      try {
        await result
        return 'handled'
      } catch (error) {
        // A handler that stops because it was told to has not failed, nor has one that would be called again.
        if (signal.aborted && (error === signal.reason || left > 0)) return 'unhandled'
        if (left <= 0) {
          this.#report(message, error)
          return 'failed'
        }
        await this.#pause()
        if (signal.aborted) return 'unhandled'
      }
      result = this.#call(message, invocation)
    }
  }

  /** Between two calls of a handler for one message; ends when the loop does. */
  #pause(): Promise<void> {
    const { signal } = this.#abort
    return new Promise((resolve) => {
      const end = (): void => {
        timer.cancel()
        signal.removeEventListener('abort', end)
        resolve()
      }
      const timer = this.#source.later(end, this.#options.retryDelay)
      signal.addEventListener('abort', end, { once: true })
    })
  }

  #finish(inbox: Inbox, message: ReceivedMessage, invocation: Invocation, outcome: Outcome): void {
    this.#running--
    invocation.running = false
    if (invocation.waits) this.#waiting--
    if (outcome === 'unhandled') this.#source.putBack(inbox, message)
    else this.#source.settle(inbox, message, outcome === 'failed')
    if (this.#ended && this.#running === 0) this.#source.release()
    this.#condition.notify()
  }

  #report(message: ReceivedMessage, cause: unknown): void {
    const { peerId, stream, sequence } = message
    this.#source.failed(
      message,
      new GlueberryError(
        'HANDLER_FAILED',
        `a handler of ${JSON.stringify(stream)} failed on message ${sequence}: ${textOf(cause)}`,
        {
          peerId,
          stream,
          cause,
        },
      ),
    )
  }
}

const anyone = (): boolean => true

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}
