import { AsyncLocalStorage } from 'node:async_hooks'
import { GlueberryError } from '../errors.ts'
import type { Inbox as AsyncInbox, Closable } from '../events.ts'
import type { Inbox } from './inbox.ts'
import type { Message, ReceivedMessage } from './message.ts'

/** Who takes messages of some names. */
interface Consumer {
  /** Messages may be there. */
  wake(): void
  /** Takes nothing more. */
  end(): void
}

export interface DeliveryOptions {
  /** The application has consumed a message of this inbox. */
  settle(inbox: Inbox, message: ReceivedMessage): void
  /** A handler threw or rejected. */
  failed(error: GlueberryError): void
}

export interface HandleOptions {
  readonly concurrency: number
  readonly ordered: boolean
  readonly signal: AbortSignal | undefined
}

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined }

/** Brings messages from every peer's inboxes to the consumers of their names. Peers take turns within a name. */
export class Delivery {
  readonly #options: DeliveryOptions
  /** Inboxes with messages, by name, in the order of their turns. */
  readonly #ready = new Map<string, Set<Inbox>>()
  readonly #consumers = new Map<string, Consumer>()
  readonly #loops = new Set<HandlerLoop>()
  readonly #idleWaiters: (() => void)[] = []
  /** Which loop's handler is running, to whoever asks from inside it. */
  readonly #inside = new AsyncLocalStorage<HandlerLoop>()
  #ended = false

  constructor(options: DeliveryOptions) {
    this.#options = options
  }

  /** Messages wait in this inbox. */
  offer(inbox: Inbox): void {
    if (this.#ended || inbox.waiting === 0) return
    let ready = this.#ready.get(inbox.name)
    if (ready === undefined) {
      ready = new Set()
      this.#ready.set(inbox.name, ready)
    }
    ready.add(inbox)
    this.#consumers.get(inbox.name)?.wake()
  }

  /** The pull form. @throws GlueberryError `STREAM_TAKEN` */
  messages(names: readonly string[]): AsyncInbox<Message> {
    const iterator: MessageIterator = new MessageIterator({
      take: () => {
        const taken = this.#take(names, iterator.turn++, anyone)
        if (taken === undefined) return undefined
        this.#options.settle(taken.inbox, taken.message)
        this.#checkIdle()
        return taken.message
      },
      release: () => {
        this.#release(names, iterator)
        this.#checkIdle()
      },
    })
    this.#claim(names, iterator)
    if (this.#ended) iterator.end()
    return iterator
  }

  /** The push form. @throws GlueberryError `STREAM_TAKEN` */
  handle(
    names: readonly string[],
    handler: (message: Message, signal: AbortSignal) => unknown,
    options: HandleOptions,
  ): Closable {
    const loop: HandlerLoop = new HandlerLoop(handler, options, {
      take: (wanted) => this.#take(names, loop.turn++, wanted),
      settle: (inbox, message) => {
        this.#options.settle(inbox, message)
        this.#checkIdle()
      },
      failed: this.#options.failed,
      run: (task) => this.#inside.run(loop, task),
      release: () => {
        this.#release(names, loop)
        this.#checkIdle()
      },
    })
    this.#claim(names, loop)
    this.#loops.add(loop)
    if (this.#ended || options.signal?.aborted === true) loop.end()
    else loop.wake()
    return loop
  }

  /** Whether this code runs inside a handler: who then waits for all handlers waits for itself. */
  get insideHandler(): boolean {
    return this.#inside.getStore() !== undefined
  }

  /** Names with waiting messages whose consumer pulls: it may never come back for them. */
  pulledNames(): string[] {
    return [...this.#consumers]
      .filter(([name, consumer]) => consumer instanceof MessageIterator && this.#waiting(name))
      .map(([name]) => name)
  }

  /** Whether somebody consumes the name. */
  hasConsumer(name: string): boolean {
    return this.#consumers.has(name)
  }

  /** Resolves when every message of a name with a consumer has been taken, and every handler (but the caller's own) has settled. */
  idle(): Promise<void> {
    const own = this.#inside.getStore()
    return new Promise((resolve) => {
      const check = (): void => {
        if (!this.#isIdle(own)) return
        const index = this.#idleWaiters.indexOf(check)
        if (index >= 0) this.#idleWaiters.splice(index, 1)
        resolve()
      }
      this.#idleWaiters.push(check)
      check()
    })
  }

  /** Ends every consumer: loops end, handlers' signals abort. */
  end(): void {
    this.#ended = true
    for (const consumer of new Set(this.#consumers.values())) consumer.end()
    this.#ready.clear()
  }

  #isIdle(own: HandlerLoop | undefined): boolean {
    for (const loop of this.#loops) {
      if (loop.running > (loop === own ? 1 : 0)) return false
    }
    if (own !== undefined) return true // its own messages wait behind it
    return ![...this.#consumers.keys()].some((name) => this.#waiting(name))
  }

  #waiting(name: string): boolean {
    const ready = this.#ready.get(name)
    if (ready === undefined) return false
    for (const inbox of ready) if (inbox.waiting > 0) return true
    return false
  }

  #checkIdle(): void {
    if (this.#idleWaiters.length > 0) for (const check of [...this.#idleWaiters]) check()
  }

  /** The next message of these names, of an inbox that is wanted; the name whose turn it is comes first. */
  #take(
    names: readonly string[],
    turn: number,
    wanted: (inbox: Inbox) => boolean,
  ): { inbox: Inbox; message: ReceivedMessage } | undefined {
    for (let i = 0; i < names.length; i++) {
      const ready = this.#ready.get(names[(turn + i) % names.length] as string)
      if (ready === undefined) continue
      for (const inbox of ready) {
        if (!wanted(inbox)) continue
        const message = inbox.take()
        if (inbox.waiting === 0) {
          ready.delete(inbox)
        } else if (ready.size > 1) {
          ready.delete(inbox) // to the end of the turns
          ready.add(inbox)
        }
        if (message !== undefined) return { inbox, message }
      }
    }
    return undefined
  }

  #claim(names: readonly string[], consumer: Consumer): void {
    for (const name of names) {
      if (this.#consumers.has(name)) {
        throw new GlueberryError('STREAM_TAKEN', `the stream ${JSON.stringify(name)} has a consumer already`, {
          stream: name,
          hint: 'end the other messages() loop or close the other handle() first',
        })
      }
    }
    for (const name of names) this.#consumers.set(name, consumer)
  }

  #release(names: readonly string[], consumer: Consumer): void {
    for (const name of names) {
      if (this.#consumers.get(name) === consumer) this.#consumers.delete(name)
    }
    if (consumer instanceof HandlerLoop && consumer.running === 0) this.#loops.delete(consumer)
  }
}

const anyone = (): boolean => true

class MessageIterator implements AsyncInbox<Message>, Consumer {
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

interface HandlerSource {
  take(wanted: (inbox: Inbox) => boolean): { inbox: Inbox; message: ReceivedMessage } | undefined
  settle(inbox: Inbox, message: ReceivedMessage): void
  failed(error: GlueberryError): void
  run(task: () => unknown): unknown
  release(): void
}

class HandlerLoop implements Closable, Consumer {
  readonly #handler: (message: Message, signal: AbortSignal) => unknown
  readonly #options: HandleOptions
  readonly #source: HandlerSource
  readonly #abort = new AbortController()
  /** Peers with a handler running, when their order is kept. */
  readonly #busy = new Set<string>()
  readonly #closers: (() => void)[] = []
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
    options.signal?.addEventListener('abort', this.#onAbort, { once: true })
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

  /** Takes no more messages; resolves when the handlers that run have settled. */
  async close(): Promise<void> {
    this.end()
    if (this.running > 0) await new Promise<void>((resolve) => this.#closers.push(resolve))
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
      let result: unknown
      this.running++
      try {
        result = this.#source.run(() => this.#handler(message, this.#abort.signal))
      } catch (error) {
        this.#report(message, error)
      }
      if (!isThenable(result)) {
        this.#finish(inbox, message)
        continue
      }
      if (ordered) this.#busy.add(inbox.peerId)
      Promise.resolve(result)
        .catch((error) => this.#report(message, error))
        .then(() => {
          this.#busy.delete(inbox.peerId)
          this.#finish(inbox, message)
          this.wake()
        })
    }
  }

  #finish(inbox: Inbox, message: ReceivedMessage): void {
    this.running--
    this.#source.settle(inbox, message)
    if (this.#ended && this.running === 0) {
      this.#source.release()
      for (const closed of this.#closers.splice(0)) closed()
    }
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

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}
