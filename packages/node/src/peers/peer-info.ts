import type { Multiaddr } from '../address.ts'
import type { BookEntry } from '../address-book/book-document.ts'
import type { PeerConnection } from '../connection/connection.ts'
import type { ReconnectAttempt } from '../connection/state.ts'
import type { PeerState } from '../events/events.ts'
import type { PeerId } from '../peer-id.ts'
import type { Direction } from '../transport/transport.ts'
import type { PeerBlock } from './blocklist.ts'

/** What is known of a peer: a frozen value that stays identical until something changes. */
export interface PeerInfo {
  /** The peer's id. */
  readonly peerId: PeerId
  /** How things are with it. */
  readonly state: PeerState
  /** Which side dialed, while there is a connection. */
  readonly direction?: Direction
  /** In the address book. */
  readonly saved: boolean
  /** Where it may be, in the order in which that is tried. */
  readonly addresses: readonly Multiaddr[]
  /** As `addPeer` was told. */
  readonly metadata: Readonly<Record<string, string>>
  /** The next attempt to reach it. */
  readonly retry?: ReconnectAttempt
  /** Blocked with `blockPeer`. */
  readonly blocked?: PeerBlock
}

const NO_METADATA: Readonly<Record<string, string>> = Object.freeze({})
const NO_ADDRESSES: readonly Multiaddr[] = Object.freeze([])

/** What is known of a peer that has a record. */
export function infoOf(
  peerId: PeerId,
  { state: { name, direction, retry }, addresses }: PeerConnection,
  entry: BookEntry | undefined,
  blocked: PeerBlock | undefined,
): PeerInfo {
  return Object.freeze({
    peerId,
    state: name,
    ...(direction === undefined ? {} : { direction }),
    saved: entry !== undefined,
    addresses: Object.freeze(addresses),
    metadata: entry?.metadata ?? NO_METADATA,
    ...(retry === undefined ? {} : { retry: Object.freeze({ ...retry }) }),
    ...(blocked === undefined ? {} : { blocked }),
  })
}

/** What is known of a peer that has no record of its own: blocked, or at rest. */
export function infoWithoutRecord(peerId: PeerId, blocked: PeerBlock | undefined): PeerInfo {
  return Object.freeze({
    peerId,
    state: 'disconnected',
    saved: false,
    addresses: NO_ADDRESSES,
    metadata: NO_METADATA,
    ...(blocked === undefined ? {} : { blocked }),
  })
}
