import type { PeerId } from '../peer-id.ts'
import type { Blocklist } from './blocklist.ts'
import type { PastPeers } from './past-peers.ts'
import type { Peer } from './peer.ts'
import { infoWithoutRecord, type PeerInfo } from './peer-info.ts'

/** What `getPeer` and `listPeers` show: peers with a record, strangers at rest, and blocked ones. */
export class Directory {
  readonly #peers: ReadonlyMap<PeerId, Peer>
  readonly #past: PastPeers
  readonly #blocklist: Blocklist
  #list: readonly PeerInfo[] | undefined // until something changes

  constructor(peers: ReadonlyMap<PeerId, Peer>, past: PastPeers, blocklist: Blocklist) {
    this.#peers = peers
    this.#past = past
    this.#blocklist = blocklist
  }

  info(peerId: PeerId): PeerInfo | undefined {
    const peer = this.#peers.get(peerId)
    if (peer !== undefined) return peer.info
    const blocked = this.#blocklist.get(peerId)
    return blocked === undefined && !this.#past.rests(peerId) ? undefined : infoWithoutRecord(peerId, blocked)
  }

  /** Every known peer; the same list until something changes. */
  list(): readonly PeerInfo[] {
    if (this.#list === undefined) {
      const others = new Set([...this.#past.restingIds, ...this.#blocklist.peerIds])
      const infos = [...this.#peers.values()].map((peer) => peer.info)
      for (const peerId of others) {
        const info = this.#peers.has(peerId) ? undefined : this.info(peerId)
        if (info !== undefined) infos.push(info)
      }
      this.#list = Object.freeze(infos)
    }
    return this.#list
  }

  changed(): void {
    this.#list = undefined
  }
}
