import type { DisconnectReason } from '../events/events.ts'

/** What has passed between this node and a peer since it was first seen; a copy. */
export interface PeerStats {
  /** Messages accepted for sending. */
  readonly messagesSent: number
  /** Messages that arrived here. */
  readonly messagesReceived: number
  /** Bytes of the messages accepted for sending. */
  readonly bytesSent: number
  /** Bytes of the messages that arrived here. */
  readonly bytesReceived: number
  /** Of those received, how many were marked as redelivered. */
  readonly redelivered: number
  /** Sessions after the first one. */
  readonly reconnects: number
  /** Since when the present session is established, in milliseconds since 1970. */
  readonly connectedSince?: number
  /** Why the last session ended. */
  readonly lastReason?: DisconnectReason
  /** Milliseconds of the last heartbeat's round trip. */
  readonly roundTrip?: number
}
