import type { Multiaddr } from '../address.ts'
import type { GlueberryError } from '../errors.ts'
import type { PeerId } from '../peer-id.ts'
import type { Message } from '../stream/message.ts'
import type { Subscription } from '../subscription.ts'

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

/**
 * Events as they come, in order, from the call on. Bounded by `limits.eventBuffer`: the oldest goes first. `undelivered`,
 * `skipped` and `handler-failed` are never dropped: beyond the bound those of one peer and name are merged into one, and
 * all of `handler-failed`. A merged range of sequences may name some between them that were delivered.
 */
export interface EventSubscription<E = NodeEvent> extends Subscription<E> {
  /** How many events this subscriber has missed so far. */
  readonly dropped: number
}

type WithoutTime<E> = E extends unknown ? Omit<E, 'at'> : never
/** An event as its origin makes it; the hub adds the time. */
export type NewEvent = WithoutTime<NodeEvent>
