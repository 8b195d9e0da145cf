import type { Multiaddr } from './address.ts'
import type { Clock } from './clock.ts'
import type { GlueberryError } from './errors.ts'
import { LinkedList, type ListNode } from './linked-list.ts'
import type { Logger } from './observe/logger.ts'
import type { PeerId } from './peer-id.ts'
import type { Message } from './stream/message.ts'

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
 * rules (`protocol`), it has another identity than expected or was refused (`authentication`), silence (`timeout`), or this
 * program asked for it (`local`).
 */
export type DisconnectReason = {
  /** What was seen. */
  readonly kind: 'io' | 'remote' | 'protocol' | 'authentication' | 'timeout' | 'local'
  /** The error behind it, where there is one. */
  readonly error?: GlueberryError
}

/** What every event of a peer carries. */
export interface ForPeer {
  /** The peer that it is about. */
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
  | ({ readonly type: 'disconnected'; readonly reason: DisconnectReason } & ForPeer)
  /** A dial will be tried after `delay` milliseconds. */
  | ({ readonly type: 'reconnecting'; readonly attempt: number; readonly delay: number } & ForPeer)
  /** At once behind `established`, when the session before it ended without this program's doing. */
  | ({ readonly type: 'reconnected' } & ForPeer)
  /** Refused: no attempt before `until`. */
  | ({ readonly type: 'cooldown'; readonly until: number; readonly reason: DisconnectReason } & ForPeer)
  /** Nothing of the peer is kept any more; comes for strangers too, after their last message. A peer of the address book stays known, `disconnected`. */
  | ({ readonly type: 'closed'; readonly reason: 'removed' | 'blocked' | 'gave-up' | 'expired' | 'stopped' } & ForPeer)
  /** `count` messages from sequence `from` on were accepted here and have been given up. */
  | ({ readonly type: 'undelivered'; readonly stream: string; readonly from: number; readonly count: number } & ForPeer)
  /** The peer has given up `count` of its messages, from sequence `from` on. */
  | ({ readonly type: 'skipped'; readonly stream: string; readonly from: number; readonly count: number } & ForPeer)
  /**
   * A handler has failed on a message, as often as it was called for it; the message counts as consumed. `count` is 1,
   * or more for a subscriber that is too slow: then `message` and `error` are of the last one.
   */
  | ({
      readonly type: 'handler-failed'
      readonly stream: string
      readonly message: Message
      readonly error: GlueberryError
      readonly count: number
    } & ForPeer)
  /** This node's own addresses have changed. */
  | { readonly type: 'addresses'; readonly addresses: readonly Multiaddr[]; readonly at: number }
  /** `phase`, while it drains: it waits for its own consumers, or, taking no new messages, for those of its peers. */
  | {
      readonly type: 'status'
      readonly status: NodeState
      readonly phase?: 'receiving' | 'sending'
      readonly at: number
    }
  /** This subscriber was too slow: `count` events are missing here; never `undelivered`, `skipped` or `handler-failed`. */
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
  'handler-failed': true,
  addresses: true,
  status: true,
  dropped: true,
  error: true,
}

/** Every type of event, to check what was asked for. */
export const EVENT_TYPES: ReadonlySet<string> = new Set(Object.keys(ALL_TYPES))
/** The event of one type. */
export type EventOf<T extends EventType> = Extract<NodeEvent, { type: T }>

/** An async iterator that can be left, closed and disposed of at any time. */
export interface Subscription<T> extends AsyncDisposable {
  /** The next item; concurrent calls are served in order. `done` once it is closed. */
  next(): Promise<IteratorResult<T, undefined>>
  /** Ends it, with what it has buffered; all calls get one result. */
  close(): Promise<void>
  /** The same; what `for await` calls when it is left. */
  return(): Promise<IteratorResult<T, undefined>>
  [Symbol.asyncIterator](): this
}

/** Something that can be closed, once or more often. */
export interface Closable extends AsyncDisposable {
  /** Ends it; all calls get one result. */
  close(): Promise<void>
}

/**
 * Events as they come, in order, from the call on. Bounded by `limits.eventBuffer`: the oldest goes first. `undelivered`,
 * `skipped` and `handler-failed` are never dropped: beyond the bound those of one peer and name are merged into one, and
 * all of `handler-failed`. A merged range of sequences may name some between them that were delivered.
 */
export interface EventSubscription<E = NodeEvent> extends Subscription<E> {
  /** How many events this subscriber has missed so far. */
  readonly dropped: number
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

/** Events that tell of messages: none of them is dropped. */
type MessageEvent = Extract<NodeEvent, { type: 'undelivered' | 'skipped' | 'handler-failed' }>

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

function wants({ peers, types }: EventFilter, event: NodeEvent): boolean {
  if (types !== undefined && !types.has(event.type)) return false
  return peers === undefined || ('peerId' in event && peers.has(event.peerId))
}

interface Buffered {
  event: NodeEvent
  place: ListNode<Buffered> | undefined
  /** Its place among those that may be dropped. */
  droppable: ListNode<Buffered> | undefined
}

class Subscriber implements EventSubscription {
  readonly #filter: EventFilter
  readonly #capacity: number
  readonly #clock: Clock
  readonly #onClose: () => void
  readonly #buffer = new LinkedList<Buffered>()
  readonly #droppable = new LinkedList<Buffered>()
  /** The last event of each kind, peer and name that tells of messages. */
  readonly #messages = new Map<string, Buffered>()
  readonly #waiting = new LinkedList<(result: IteratorResult<NodeEvent, undefined>) => void>()
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
    if (!wants(this.#filter, event)) return
    const waiting = this.#waiting.shift()
    if (waiting !== undefined) return waiting({ done: false, value: event })
    const full = this.#buffer.size >= this.#capacity
    if (tellsOfMessages(event)) {
      const key = keyOf(event)
      const before = this.#messages.get(key)
      if (full && before !== undefined) {
        before.event = merged(before.event as MessageEvent, event)
        return
      }
      this.#messages.set(key, this.#add(event))
    } else {
      const buffered = this.#add(event)
      buffered.droppable = this.#droppable.push(buffered)
    }
    if (!full) return
    const oldest = this.#droppable.first
    if (oldest === undefined) return // all of them tell of messages
    this.#take(oldest)
    this.#missing++
    this.#dropped++
  }

  next(): Promise<IteratorResult<NodeEvent, undefined>> {
    if (this.#missing > 0) {
      // The oldest went, so the gap is in front of what is left.
      const count = this.#missing
      this.#missing = 0
      return Promise.resolve({ done: false, value: { type: 'dropped', count, at: this.#clock.now() } })
    }
    const { first } = this.#buffer
    if (first !== undefined) return Promise.resolve({ done: false, value: this.#take(first) })
    if (this.#ended) return Promise.resolve(DONE)
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** No more events come; those that are buffered can still be read. */
  end(): void {
    this.#ended = true
    this.#onClose()
    for (const waiting of this.#waiting.drain()) waiting(DONE)
  }

  async close(): Promise<void> {
    for (const buffered of [...this.#buffer]) this.#take(buffered)
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

  #add(event: NodeEvent): Buffered {
    const buffered: Buffered = { event, place: undefined, droppable: undefined }
    buffered.place = this.#buffer.push(buffered)
    return buffered
  }

  #take(buffered: Buffered): NodeEvent {
    const { event, droppable } = buffered
    this.#buffer.remove(buffered.place as ListNode<Buffered>)
    if (droppable !== undefined) this.#droppable.remove(droppable)
    if (tellsOfMessages(event)) {
      const key = keyOf(event)
      if (this.#messages.get(key) === buffered) this.#messages.delete(key)
    }
    return event
  }
}

/** Events with the same one are merged. Of failed handlers all are: each event holds a message. */
function keyOf(event: MessageEvent): string {
  return event.type === 'handler-failed' ? event.type : `${event.type} ${event.peerId} ${event.stream}`
}

function tellsOfMessages(event: NodeEvent): event is MessageEvent {
  return event.type === 'undelivered' || event.type === 'skipped' || event.type === 'handler-failed'
}

/** One event for both. A range of sequences may then name some between them that were delivered. */
function merged(a: MessageEvent, b: MessageEvent): MessageEvent {
  if (a.type === 'handler-failed' || b.type === 'handler-failed') {
    return Object.freeze({ ...b, count: a.count + b.count })
  }
  const from = Math.min(a.from, b.from)
  return Object.freeze({ ...b, from, count: Math.max(a.from + a.count, b.from + b.count) - from })
}
