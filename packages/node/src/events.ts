import type { Multiaddr } from './address.ts'
import type { Clock } from './clock.ts'
import type { GlueberryError } from './errors.ts'
import type { Logger } from './observe/logger.ts'
import type { PeerId } from './peer-id.ts'

/** How things are between this node and a peer. */
export type PeerState =
  /** No connection, and none being made. */
  | 'disconnected'
  /** This node dials. */
  | 'connecting'
  /** A connection whose handshake is not complete. */
  | 'connected'
  /** Both applications have accepted: messages flow. */
  | 'established'
  /** Lost, and being dialed again. */
  | 'reconnecting'
  /** Refused; not tried again for a while. */
  | 'cooldown'
  /** This node drains. */
  | 'draining'
  /** Gone: nothing of the peer is kept any more. */
  | 'closed'

/** Where a node is in its life. */
export type NodeState = 'idle' | 'starting' | 'running' | 'draining' | 'stopping' | 'stopped'

/**
 * Why a session ended, by what was seen: the connection broke (`io`), the peer said goodbye (`remote`), it broke the
 * rules (`protocol`), it is not who it should be or was refused (`authentication`), silence (`timeout`), or this
 * program asked for it (`local`).
 */
export type Reason = {
  /** What was seen. */
  readonly kind: 'io' | 'remote' | 'protocol' | 'authentication' | 'timeout' | 'local'
  /** The error behind it, where there is one. */
  readonly error?: GlueberryError
}

/** What every event of a peer carries. */
export interface ForPeer {
  /** Whom it is about. */
  readonly peerId: PeerId
  /** When, in milliseconds since 1970. */
  readonly at: number
}

/** Everything a node tells, discriminated by `type`. */
export type NodeEvent =
  /** A first dial begins; those after a loss are told by `reconnecting`. */
  | ({ readonly type: 'connecting' } & ForPeer)
  /** The peer has been authenticated; the applications' handshake begins. */
  | ({ readonly type: 'connected' } & ForPeer)
  /** Messages flow. `resumed`: the peer still knows how far it was, so nothing will be delivered twice. */
  | ({ readonly type: 'established'; readonly resumed: boolean } & ForPeer)
  /** The session is over and nothing is left that could replace it; or there was none: a first dial has failed, or attempts were called off. */
  | ({ readonly type: 'disconnected'; readonly reason: Reason } & ForPeer)
  /** A dial will be tried after `delay` milliseconds. */
  | ({ readonly type: 'reconnecting'; readonly attempt: number; readonly delay: number } & ForPeer)
  /** At once behind `established`, when the session before it ended without this program's doing. */
  | ({ readonly type: 'reconnected' } & ForPeer)
  /** Refused: no attempt before `until`. */
  | ({ readonly type: 'cooldown'; readonly until: number; readonly reason: Reason } & ForPeer)
  /** Nothing of the peer is kept any more; comes for strangers too, after their last message. A peer of the address book stays known, `disconnected`. */
  | ({ readonly type: 'closed'; readonly reason: 'removed' | 'blocked' | 'gave-up' | 'expired' | 'stopped' } & ForPeer)
  /** `count` messages from sequence `from` on were accepted here and have been given up. */
  | ({ readonly type: 'undelivered'; readonly stream: string; readonly from: number; readonly count: number } & ForPeer)
  /** The peer has given up `count` of its messages, from sequence `from` on. */
  | ({ readonly type: 'skipped'; readonly stream: string; readonly from: number; readonly count: number } & ForPeer)
  /** This node's own addresses have changed. */
  | { readonly type: 'addresses'; readonly addresses: readonly Multiaddr[]; readonly at: number }
  | { readonly type: 'status'; readonly status: NodeState; readonly at: number }
  /** This subscriber was too slow: `count` events are missing here. */
  | { readonly type: 'dropped'; readonly count: number; readonly at: number }
  /** Something went wrong that no call could be told of. */
  | { readonly type: 'error'; readonly error: GlueberryError; readonly at: number }

/** What an event is about. */
export type EventType = NodeEvent['type']
// A record, so that the compiler misses a type that is not in it.
const ALL_TYPES: Record<EventType, true> = {
  connecting: true,
  connected: true,
  established: true,
  disconnected: true,
  reconnecting: true,
  reconnected: true,
  cooldown: true,
  closed: true,
  undelivered: true,
  skipped: true,
  addresses: true,
  status: true,
  dropped: true,
  error: true,
}

/** Every type of event, to check what was asked for. */
export const EVENT_TYPES: ReadonlySet<string> = new Set(Object.keys(ALL_TYPES))
/** The event of one type. */
export type EventOf<T extends EventType> = Extract<NodeEvent, { type: T }>

/** An async iterator that can be left and disposed of at any time. */
export interface Inbox<T> extends AsyncDisposable {
  /** The next item; concurrent calls are served in order. `done` once it is closed. */
  next(): Promise<IteratorResult<T, undefined>>
  /** Closes it; what `for await` calls when it is left. */
  return(): Promise<IteratorResult<T, undefined>>
  [Symbol.asyncIterator](): this
}

/** Something that can be closed, once or more often. */
export interface Closable extends AsyncDisposable {
  /** Ends it; all calls get one result. */
  close(): Promise<void>
}

/** Events as they come, in order, from the call on; bounded by `limits.eventBuffer`. */
export interface EventSubscription<E = NodeEvent> extends Inbox<E> {
  /** How many events this subscriber has missed so far. */
  readonly dropped: number
  /** Ends it, with what is buffered. */
  close(): Promise<void>
}

/** Which events a subscriber wants; an absent part means all. */
export interface EventFilter {
  readonly peers?: ReadonlySet<PeerId>
  readonly types?: ReadonlySet<EventType>
}

type WithoutTime<E> = E extends unknown ? Omit<E, 'at'> : never
/** An event as its origin makes it; the hub adds the time. */
export type NewEvent = WithoutTime<NodeEvent>

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined }

/** Hands every event to every subscriber, each with a bounded buffer of its own. */
export class EventHub {
  readonly #clock: Clock
  readonly #capacity: number
  readonly #logger: Logger
  readonly #subscribers = new Set<Subscriber>()
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
  }

  subscribe(filter: EventFilter = {}): EventSubscription {
    const subscriber = new Subscriber(filter, this.#capacity, this.#clock, () => this.#subscribers.delete(subscriber))
    if (this.#closed) void subscriber.close()
    else this.#subscribers.add(subscriber)
    return subscriber
  }

  /** The callback form of `subscribe`; returns what ends it. */
  on(filter: EventFilter, handler: (event: NodeEvent) => unknown): () => void {
    const subscription = this.subscribe(filter)
    let off = false
    void this.#deliver(subscription, (event) => (off ? undefined : handler(event)))
    return () => {
      off = true // what is on its way already does not reach the handler any more
      void subscription.close()
    }
  }

  /** Lets subscribers read what they have, then ends them. */
  close(): void {
    this.#closed = true
    for (const subscriber of [...this.#subscribers]) subscriber.end()
  }

  async #deliver(subscription: EventSubscription, handler: (event: NodeEvent) => unknown): Promise<void> {
    for await (const event of subscription) {
      try {
        // Not awaited: a slow handler must not hold back the next event.
        Promise.resolve(handler(event)).catch((error) => this.#failed(event, error))
      } catch (error) {
        this.#failed(event, error)
      }
    }
  }

  #failed(event: NodeEvent, error: unknown): void {
    this.#logger.error(`a handler of the event ${event.type} failed`, { error })
  }
}

class Subscriber implements EventSubscription {
  readonly #filter: EventFilter
  readonly #capacity: number
  readonly #clock: Clock
  readonly #onClose: () => void
  readonly #buffer: NodeEvent[] = []
  readonly #waiting: ((result: IteratorResult<NodeEvent, undefined>) => void)[] = []
  #missing = 0 // dropped since the last `dropped` event
  #dropped = 0
  #ended = false

  constructor(filter: EventFilter, capacity: number, clock: Clock, onClose: () => void) {
    this.#filter = filter
    this.#capacity = capacity
    this.#clock = clock
    this.#onClose = onClose
  }

  get dropped(): number {
    return this.#dropped
  }

  offer(event: NodeEvent): void {
    const { peers, types } = this.#filter
    if (types !== undefined && !types.has(event.type)) return
    if (peers !== undefined && !('peerId' in event && peers.has(event.peerId))) return
    const waiting = this.#waiting.shift()
    if (waiting !== undefined) return waiting({ done: false, value: event })
    this.#buffer.push(event)
    if (this.#buffer.length > this.#capacity) {
      this.#buffer.shift()
      this.#missing++
      this.#dropped++
    }
  }

  next(): Promise<IteratorResult<NodeEvent, undefined>> {
    if (this.#missing > 0) {
      // The oldest went, so the gap is in front of what is left.
      const count = this.#missing
      this.#missing = 0
      return Promise.resolve({ done: false, value: { type: 'dropped', count, at: this.#clock.now() } })
    }
    const event = this.#buffer.shift()
    if (event !== undefined) return Promise.resolve({ done: false, value: event })
    if (this.#ended) return Promise.resolve(DONE)
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** No more events come; those that are buffered can still be read. */
  end(): void {
    this.#ended = true
    this.#onClose()
    for (const waiting of this.#waiting.splice(0)) waiting(DONE)
  }

  async close(): Promise<void> {
    this.#buffer.length = 0
    this.#missing = 0
    this.end()
  }

  async return(): Promise<IteratorResult<NodeEvent, undefined>> {
    await this.close()
    return DONE
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
