import type { DisconnectReason } from '../events/events.ts'
import type { PeerStats } from '../observe/stats.ts'
import type { Counts } from '../stream/counts.ts'

/** What has passed between this node and a peer, over all records of that peer. */
export class PeerHistory {
  /** Those who send and receive count here. */
  readonly counts: Counts = { messagesSent: 0, messagesReceived: 0, bytesSent: 0, bytesReceived: 0, redelivered: 0 }
  #sessions = 0 // established ones
  #connectedSince: number | undefined
  #lastReason: DisconnectReason | undefined

  /** @param earlier of an earlier record of the peer */
  constructor(earlier: PeerStats | undefined) {
    if (earlier === undefined) return
    const { messagesSent, messagesReceived, bytesSent, bytesReceived, redelivered } = earlier
    this.counts = { messagesSent, messagesReceived, bytesSent, bytesReceived, redelivered }
    this.#sessions = earlier.reconnects + 1
    this.#lastReason = earlier.lastReason
  }

  /** Whether there was a session. */
  get worthKeeping(): boolean {
    return this.#sessions > 0
  }

  established(now: number): void {
    this.#sessions++
    this.#connectedSince = now
  }

  lost(reason: DisconnectReason): void {
    this.#lastReason = reason
    this.#connectedSince = undefined
  }

  stats(roundTrip: number | undefined): PeerStats {
    return {
      ...this.counts,
      reconnects: Math.max(0, this.#sessions - 1),
      ...(this.#connectedSince === undefined ? {} : { connectedSince: this.#connectedSince }),
      ...(this.#lastReason === undefined ? {} : { lastReason: this.#lastReason }),
      ...(roundTrip === undefined ? {} : { roundTrip }),
    }
  }
}
