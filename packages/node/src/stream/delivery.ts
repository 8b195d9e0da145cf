import { AsyncLocalStorage } from 'node:async_hooks'
import type { Clock } from '../clock.ts'
import { Condition } from '../condition.ts'
import { GlueberryError } from '../errors.ts'
import type { LoopShare } from '../limits/loop-share.ts'
import type { Logger } from '../observe/logger.ts'
import type { Closable, Subscription } from '../subscription.ts'
import type { Consumer } from './consumer.ts'
import { type HandleOptions, HandlerLoop, type Invocation } from './handler-loop.ts'
import type { Inbox } from './inbox.ts'
import type { Message, ReceivedMessage } from './message.ts'
import { MessageIterator } from './message-iterator.ts'

export interface DeliveryOptions {
  readonly clock: Clock
  readonly logger: Logger
  readonly loop: LoopShare
  /** The application has consumed a message of this inbox; `failed`: its handler has failed. */
  settle(inbox: Inbox, message: ReceivedMessage, failed: boolean): void
  /** A handler threw or rejected, as often as it was called for the message. */
  failed(message: ReceivedMessage, error: GlueberryError): void
}

/** Brings messages from every peer's inboxes to the consumers of their names. Peers take turns within a name. */
export class Delivery {
  readonly #options: DeliveryOptions
  /** Inboxes with messages, by name, in the order of their turns. */
  readonly #ready = new Map<string, Set<Inbox>>()
  readonly #consumers = new Map<string, Consumer>()
  readonly #loops = new Set<HandlerLoop>()
  /** Those of them that have ended, while handlers of theirs run. */
  readonly #ending = new Set<HandlerLoop>()
  /** Inboxes that are full without a consumer, and of which a warning tells. */
  readonly #untaken = new WeakSet<Inbox>()
  readonly #condition = new Condition()
  /** The handler invocation that the current code runs in. */
  readonly #inside = new AsyncLocalStorage<Invocation>()
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
    const consumer = this.#consumers.get(inbox.name)
    if (consumer !== undefined) consumer.wake()
    else if (inbox.full) this.#warnOfUntaken(inbox)
  }

  /** What is in this inbox is gone, with its peer. */
  withdraw(inbox: Inbox): void {
    this.#ready.get(inbox.name)?.delete(inbox)
    this.#condition.notify()
  }

  /** The pull form. @throws GlueberryError `STREAM_TAKEN` */
  messages(names: readonly string[]): Subscription<Message> {
    const iterator: MessageIterator = new MessageIterator(this.#options.loop, {
      take: () => {
        const taken = this.#take(names, iterator.turn++, anyone)
        if (taken === undefined) return undefined
        this.#options.settle(taken.inbox, taken.message, false)
        this.#condition.notify()
        return taken.message
      },
      release: () => {
        this.#release(names, iterator)
        this.#condition.notify()
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
    const { clock, loop: share } = this.#options
    const loop: HandlerLoop = new HandlerLoop(handler, options, {
      take: (wanted) => this.#take(names, loop.turn++, wanted),
      settle: (inbox, message, failed) => {
        this.#options.settle(inbox, message, failed)
        if (this.#ending.has(loop) && inbox.waiting > 0) this.offer(inbox) // another consumer has waited for this
        this.#condition.notify()
      },
      worked: () => share.worked(),
      turn: (resume) => share.wait(loop, resume),
      later: (task, delay) => clock.setTimer(task, delay),
      putBack: (inbox, message) => {
        inbox.putBack(message)
        this.offer(inbox)
        this.#condition.notify()
      },
      failed: this.#options.failed,
      run: (invocation, task) => this.#inside.run(invocation, task),
      inside: () => this.#inside.getStore(),
      release: () => {
        this.#release(names, loop)
        this.#condition.notify()
      },
    })
    this.#claim(names, loop)
    this.#loops.add(loop)
    if (this.#ended) loop.end()
    else loop.start()
    return loop
  }

  /** Whether this code runs inside a handler: to wait for all handlers there would be to wait for itself. */
  get insideHandler(): boolean {
    return this.#inside.getStore()?.running === true
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

  /** Resolves when every message of a name with a consumer has been taken, and every handler has settled that does not wait for this. */
  idle(): Promise<void> {
    return this.#condition.until(() => this.#isIdle())
  }

  /** The calling code, if it runs inside a handler, waits for all handlers: nobody waits for it. */
  waitInside(): void {
    const invocation = this.#inside.getStore()
    if (invocation === undefined) return
    invocation.loop.wait(invocation)
    for (const consumer of this.#consumers.values()) consumer.wake()
    this.#condition.notify()
  }

  /** Ends every consumer: loops end, handlers' signals abort. */
  end(): void {
    this.#ended = true
    for (const consumer of new Set(this.#consumers.values())) consumer.end()
    this.#ready.clear()
  }

  /** Once for each inbox. */
  #warnOfUntaken(inbox: Inbox): void {
    if (this.#untaken.has(inbox)) return
    this.#untaken.add(inbox)
    this.#options.logger.warn('nobody takes the messages on a stream: their sender waits', {
      stream: inbox.name,
      peerId: inbox.peerId,
      hint: 'read them with messages() or handle()',
    })
  }

  #isIdle(): boolean {
    for (const loop of this.#loops) if (loop.active > 0) return false
    // Behind a handler that waits for this, its own messages wait.
    if ([...this.#loops].some((loop) => loop.waits)) return true
    return ![...this.#consumers.keys()].some((name) => this.#waiting(name))
  }

  #waiting(name: string): boolean {
    const ready = this.#ready.get(name)
    if (ready === undefined) return false
    for (const inbox of ready) if (inbox.waiting > 0) return true
    return false
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
        if (!wanted(inbox) || this.#isHeld(inbox)) continue
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
    if (!(consumer instanceof HandlerLoop)) return
    if (consumer.active === 0) this.#loops.delete(consumer)
    if (consumer.active === 0) this.#ending.delete(consumer)
    else this.#ending.add(consumer)
  }

  /** Whether the handler of an earlier consumer still has a message before those that wait. */
  #isHeld(inbox: Inbox): boolean {
    if (this.#ending.size > 0) for (const loop of this.#ending) if (loop.holds(inbox)) return true
    return false
  }
}

const anyone = (): boolean => true
