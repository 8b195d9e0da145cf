import { GlueberryError } from '../errors.ts'
import type { Closable } from '../events.ts'
import type { Consumer, HandleOptions } from './delivery.ts'
import type { Inbox } from './inbox.ts'
import type { Message, ReceivedMessage } from './message.ts'

interface HandlerSource {
  take(wanted: (inbox: Inbox) => boolean): { inbox: Inbox; message: ReceivedMessage } | undefined
  settle(inbox: Inbox, message: ReceivedMessage): void
  failed(error: GlueberryError): void
  /** Runs a handler so that code inside it is known to be there. */
  run(invocation: Invocation, task: () => unknown): unknown
  /** The handler that the calling code runs in, if it does. */
  inside(): Invocation | undefined
  release(): void
}

/** One call of a handler. What it has started may go on after it: then it no longer runs. */
export interface Invocation {
  readonly loop: HandlerLoop
  running: boolean
}

/** The push form of consuming: a message is consumed when its handler has settled. */
export class HandlerLoop implements Closable, Consumer {
  readonly #handler: (message: Message, signal: AbortSignal) => unknown
  readonly #options: HandleOptions
  readonly #source: HandlerSource
  readonly #abort = new AbortController()
  /** Peers with a handler running, when their order is kept. */
  readonly #busy = new Set<string>()
  /** Who waits until no more than so many run. */
  #closers: { readonly running: number; resolve(): void }[] = []
  #pumping = false
  #ended = false
  running = 0
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

  /** The names are this loop's: from here on its signal counts. */
  start(): void {
    const { signal } = this.#options
    if (signal?.aborted === true) return this.end()
    signal?.addEventListener('abort', this.#onAbort, { once: true })
    this.wake()
  }

  readonly #onAbort = (): void => this.end()

  wake(): void {
    if (this.#pumping) return
    this.#pumping = true
    try {
      this.#pump()
    } finally {
      this.#pumping = false
    }
  }

  end(): void {
    this.#ended = true
    this.#abort.abort(new GlueberryError('STOPPED', 'this handler was closed'))
    this.#options.signal?.removeEventListener('abort', this.#onAbort)
    this.#source.release()
  }

  /** Takes no more messages; resolves when the handlers that run (but the caller's own) have settled. */
  async close(): Promise<void> {
    this.end()
    // Called inside one of them, it does not wait for that one.
    const running = this.isInside() ? 1 : 0
    if (this.running > running) await new Promise<void>((resolve) => this.#closers.push({ running, resolve }))
  }

  /** Whether the calling code runs inside one of this loop's handlers. */
  isInside(): boolean {
    const invocation = this.#source.inside()
    return invocation?.loop === this && invocation.running
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #pump(): void {
    const { concurrency, ordered } = this.#options
    const wanted = ordered ? (inbox: Inbox) => !this.#busy.has(inbox.peerId) : anyone
    while (!this.#ended && this.running < concurrency) {
      const taken = this.#source.take(wanted)
      if (taken === undefined) return
      const { inbox, message } = taken
      const invocation: Invocation = { loop: this, running: true }
      let result: unknown
      this.running++
      try {
        result = this.#source.run(invocation, () => this.#handler(message, this.#abort.signal))
      } catch (error) {
        this.#report(message, error)
      }
      if (!isThenable(result)) {
        this.#finish(inbox, message, invocation)
        continue
      }
      if (ordered) this.#busy.add(inbox.peerId)
      Promise.resolve(result)
        .catch((error) => this.#report(message, error))
        .then(() => {
          this.#busy.delete(inbox.peerId)
          this.#finish(inbox, message, invocation)
          this.wake()
        })
    }
  }

  #finish(inbox: Inbox, message: ReceivedMessage, invocation: Invocation): void {
    this.running--
    invocation.running = false
    this.#source.settle(inbox, message)
    if (!this.#ended) return
    if (this.running === 0) this.#source.release()
    for (const closer of this.#closers) if (this.running <= closer.running) closer.resolve()
    this.#closers = this.#closers.filter((closer) => this.running > closer.running)
  }

  #report(message: Message, cause: unknown): void {
    // A handler that stops because it was told to has not failed.
    if (this.#abort.signal.aborted && cause === this.#abort.signal.reason) return
    const text = cause instanceof Error ? cause.message : String(cause)
    this.#source.failed(
      new GlueberryError('UNDELIVERED', `a handler of ${JSON.stringify(message.stream)} failed: ${text}`, {
        peerId: message.peerId,
        stream: message.stream,
        cause,
      }),
    )
  }
}

const anyone = (): boolean => true

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}
