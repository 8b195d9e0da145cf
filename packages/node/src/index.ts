/**
 * A peer-to-peer encrypted messaging node.
 *
 * @packageDocumentation
 */
export type { Multiaddr } from './address.ts'
export type { AddressBookStore } from './address-book/store.ts'
export type { ReconnectAttempt } from './connection/state.ts'
export { type ErrorCode, type ErrorDetails, GlueberryError } from './errors.ts'
export type {
  DisconnectReason,
  EventOf,
  EventSubscription,
  EventType,
  ForPeer,
  NodeEvent,
  NodeState,
  PeerState,
} from './events/events.ts'
export { Identity } from './identity.ts'
export type { DrainReport } from './lifecycle.ts'
export { type AbortOptions, type HandleOptions, type Health, Node } from './node.ts'
export type { Logger } from './observe/logger.ts'
export type { Metrics } from './observe/metrics.ts'
export type { PeerStats } from './observe/stats.ts'
export type { Libp2pOptions, NodeOptions, ReconnectOptions } from './options/options.ts'
export type { PeerId } from './peer-id.ts'
export { type LibP2PPeerId, type PeerRef, parsePeerId } from './peer-ref.ts'
export type { PeerBlock } from './peers/blocklist.ts'
export type { PeerInfo } from './peers/peer-info.ts'
export type { HandshakePeer, Verdict } from './session/application-handshake.ts'
export { sharedToken } from './shared-token.ts'
export type { Message } from './stream/message.ts'
export type { Closable, Subscription } from './subscription.ts'
export type { Direction } from './transport/transport.ts'
