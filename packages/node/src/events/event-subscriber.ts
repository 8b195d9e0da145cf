import type { Clock } from '../clock.ts'
import { LinkedList, type ListNode } from '../linked-list.ts'
import type { PeerId } from '../peer-id.ts'
import { PulledSubscription } from '../subscription.ts'
import type { EventSubscription, EventType, NodeEvent } from './events.ts'

/** Which events a subscriber wants; an absent part means all. */
export interface EventFilter {
  readonly peers?: ReadonlySet<PeerId>
  readonly types?: ReadonlySet<EventType>
}

/** Events that tell of messages: none of them is dropped. */
type MessageEvent = Extract<NodeEvent, { type: 'undelivered' | 'skipped' | 'handler-failed' }>

export function wants({ peers, types }: EventFilter, event: NodeEvent): boolean {
  if (types !== undefined && !types.has(event.type)) return false
  return peers === undefined || ('peerId' in event && peers.has(event.peerId))
}

interface Buffered {
  event: NodeEvent
  place: ListNode<Buffered> | undefined
  /** Its place among those that may be dropped. */
  droppable: ListNode<Buffered> | undefined
}

/** The pull form: events wait in a bounded buffer until they are taken. */
export class Subscriber extends PulledSubscription<NodeEvent> implements EventSubscription {
  readonly #filter: EventFilter
  readonly #capacity: number
  readonly #clock: Clock
  readonly #onClose: () => void
  readonly #buffer = new LinkedList<Buffered>()
  readonly #droppable = new LinkedList<Buffered>()
  /** The last event of each kind, peer and name that tells of messages. */
  readonly #messages = new Map<string, Buffered>()
  #missing = 0 // dropped since the last `dropped` event
  #dropped = 0

  constructor(filter: EventFilter, capacity: number, clock: Clock, onClose: () => void) {
    super()
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
    this.#keep(event)
    this.wake()
  }

  /** No more events come; those that are buffered can still be read. */
  end(): void {
    this.#onClose()
    this.finish()
  }

  async close(): Promise<void> {
    for (const buffered of [...this.#buffer]) this.#remove(buffered)
    this.#missing = 0
    this.end()
  }

  protected take(): NodeEvent | undefined {
    if (this.#missing > 0) {
      // The oldest went, so the gap is in front of what is left.
      const count = this.#missing
      this.#missing = 0
      return { type: 'dropped', count, at: this.#clock.now() }
    }
    const { first } = this.#buffer
    return first && this.#remove(first)
  }

  #keep(event: NodeEvent): void {
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
    this.#remove(oldest)
    this.#missing++
    this.#dropped++
  }

  #add(event: NodeEvent): Buffered {
    const buffered: Buffered = { event, place: undefined, droppable: undefined }
    buffered.place = this.#buffer.push(buffered)
    return buffered
  }

  #remove(buffered: Buffered): NodeEvent {
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
