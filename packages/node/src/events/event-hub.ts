import type { Clock } from '../clock.ts'
import type { Logger } from '../observe/logger.ts'
import { type EventFilter, Subscriber, wants } from './event-subscriber.ts'
import type { EventSubscription, NewEvent, NodeEvent } from './events.ts'

interface Handler {
  readonly filter: EventFilter
  readonly call: (event: NodeEvent) => unknown
  /** Events before this one are not for it. */
  readonly from: number
}

/** Hands every event to every subscriber, each with a bounded buffer of its own, and to every handler. */
export class EventHub {
  readonly #clock: Clock
  readonly #capacity: number
  readonly #logger: Logger
  readonly #subscribers = new Set<Subscriber>()
  readonly #handlers = new Set<Handler>()
  /** Events that handlers are told of when the transition in progress is complete. */
  #untold: NodeEvent[] = []
  #told = 0 // events that handlers were told of
  #emitted = 0
  readonly #observe: (event: NodeEvent) => void
  #closed = false

  /** @param observe sees each event before any subscriber; must not throw, nor call back */
  constructor(clock: Clock, capacity: number, logger: Logger, observe: (event: NodeEvent) => void) {
    this.#observe = observe
    this.#clock = clock
    this.#capacity = capacity
    this.#logger = logger
  }

  /** Called only when the transition that it tells of is complete. No handler runs inside it. */
  emit(event: NewEvent): void {
    const dated = Object.freeze({ ...event, at: this.#clock.now() }) as NodeEvent
    this.#observe(dated)
    for (const subscriber of [...this.#subscribers]) subscriber.offer(dated)
    this.#emitted++
    this.#untold.push(dated)
    if (this.#untold.length === 1) queueMicrotask(() => this.#tell())
  }

  subscribe(filter: EventFilter = {}): EventSubscription {
    const subscriber = new Subscriber(filter, this.#capacity, this.#clock, () => this.#subscribers.delete(subscriber))
    if (this.#closed) void subscriber.close()
    else this.#subscribers.add(subscriber)
    return subscriber
  }

  /** The callback form of `subscribe`: every event calls it, none is buffered or dropped. Returns what ends it. */
  on(filter: EventFilter, call: (event: NodeEvent) => unknown): () => void {
    const handler = { filter, call, from: this.#emitted }
    if (!this.#closed) this.#handlers.add(handler)
    return () => void this.#handlers.delete(handler)
  }

  /** Lets subscribers read what they have, then ends them; handlers are told of what was emitted before. */
  close(): void {
    this.#closed = true
    for (const subscriber of [...this.#subscribers]) subscriber.end()
    if (this.#untold.length === 0) this.#handlers.clear()
  }

  #tell(): void {
    const events = this.#untold
    this.#untold = []
    for (const event of events) {
      for (const handler of [...this.#handlers]) {
        if (handler.from > this.#told || !wants(handler.filter, event) || !this.#handlers.has(handler)) continue
        try {
          // Not awaited: a slow handler must not hold back the next event.
          Promise.resolve(handler.call(event)).catch((error) => this.#failed(event, error))
        } catch (error) {
          this.#failed(event, error)
        }
      }
      this.#told++
    }
    if (this.#closed && this.#untold.length === 0) this.#handlers.clear()
  }

  #failed(event: NodeEvent, error: unknown): void {
    this.#logger.error('an event handler failed', { event: event.type, error })
  }
}
