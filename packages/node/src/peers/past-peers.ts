import type { Clock } from '../clock.ts'
import { Expiring } from '../expiring.ts'
import type { PeerStats } from '../observe/stats.ts'
import type { PeerId } from '../peer-id.ts'
import { type DormantPeer, type Earlier, NameNumbers, pack, unpack } from './dormant.ts'
import type { Peer } from './peer.ts'

/** Strangers that are away and for which nothing is kept: how many are remembered; the one that left first is forgotten first. */
const DORMANT_MAX = 10_000
/** How long statistics of peers that are gone are kept, in milliseconds, and of how many. */
const [STATS_KEPT, STATS_MAX] = [3_600_000, 10_000]

/** What is remembered of peers that have no record any more. */
export class PastPeers {
  /** Statistics of peers that are gone. */
  readonly #departed: Expiring<PeerId, PeerStats>
  /** Strangers that are away, in little memory. */
  readonly #dormant: Expiring<PeerId, DormantPeer>
  readonly #nameNumbers = new NameNumbers()

  /**
   * @param keep how long a stranger is remembered, in milliseconds
   * @param expired a stranger was away for longer
   */
  constructor(clock: Clock, keep: number, expired: (peerId: PeerId) => void) {
    this.#departed = new Expiring({ clock, keep: STATS_KEPT, max: STATS_MAX })
    this.#dormant = new Expiring({
      clock,
      keep,
      max: DORMANT_MAX,
      expired: (peerId, { text }) => {
        unpack(text, this.#nameNumbers)
        expired(peerId)
      },
    })
  }

  /** How many strangers are away. */
  get resting(): number {
    return this.#dormant.size
  }

  /** Whether this is a stranger that is away. */
  rests(peerId: PeerId): boolean {
    return this.#dormant.get(peerId) !== undefined
  }

  get restingIds(): readonly PeerId[] {
    return [...this.#dormant].map(([peerId]) => peerId)
  }

  statsOf(peerId: PeerId): PeerStats | undefined {
    return this.#departed.get(peerId)
  }

  get stats(): Iterable<readonly [PeerId, PeerStats]> {
    return this.#departed
  }

  /** What is known of a peer that gets a record again; it is forgotten here. */
  take(peerId: PeerId): Earlier {
    const dormant = this.#dormant.take(peerId)
    const stats = this.#departed.take(peerId)
    return { stats, state: dormant && unpack(dormant.text, this.#nameNumbers), dormant }
  }

  /** Remembers the statistics of a peer whose record ends. */
  left(peer: Peer): void {
    if (!peer.history.worthKeeping) return
    const { lastReason, ...rest } = peer.stats
    // Without its error, which keeps a stack and a cause.
    const reason = lastReason === undefined ? {} : { lastReason: { kind: lastReason.kind } }
    this.#departed.put(peer.peerId, { ...rest, ...reason })
  }

  /** Remembers a stranger that is away, and whose record ends. */
  rest(peer: Peer): void {
    const { sessions, state } = peer.connection
    const text = pack(peer.dormantState, this.#nameNumbers)
    this.#dormant.put(peer.peerId, { text, outage: state.outage === true, allowance: sessions.allowance })
  }

  /** Forgets the strangers, and returns who they were. Leaves no timer; statistics can still be read. */
  close(): readonly PeerId[] {
    const strangers = this.restingIds
    for (const peerId of strangers) this.#dormant.take(peerId)
    this.#departed.close()
    this.#dormant.close()
    return strangers
  }
}
