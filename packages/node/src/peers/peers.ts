import type { IdentityKeys } from '@glueberry/wire'
import { type Multiaddr, originOf, type Target } from '../address.ts'
import type { AddressBook } from '../address-book/address-book.ts'
import type { BookEntry } from '../address-book/book-document.ts'
import type { Clock } from '../clock.ts'
import type { Admission } from '../connection/admission.ts'
import { noAddress } from '../connection/attempts.ts'
import type { Dials } from '../connection/dials.ts'
import { GlueberryError } from '../errors.ts'
import type { EventHub } from '../events/event-hub.ts'
import type { PeerState } from '../events/events.ts'
import type { Meter } from '../observe/metrics.ts'
import type { PeerStats } from '../observe/stats.ts'
import type { Settings } from '../options/settings.ts'
import type { PeerId } from '../peer-id.ts'
import type { AcceptedNames } from './accepted-names.ts'
import type { Blocklist } from './blocklist.ts'
import { Census } from './census.ts'
import { Directory } from './directory.ts'
import type { Earlier } from './dormant.ts'
import { PastPeers } from './past-peers.ts'
import type { Peer, PeerOwner } from './peer.ts'

export interface PeersOptions {
  readonly settings: Settings
  readonly clock: Clock
  readonly hub: EventHub
  readonly book: AddressBook
  readonly meter: Meter | undefined
  readonly names: AcceptedNames
  readonly dials: Dials
  readonly blocklist: Blocklist
  readonly admission: Admission
  readonly keys: IdentityKeys
  /** Makes the record of a peer. */
  compose(peerId: PeerId, owner: PeerOwner, earlier: Earlier): Peer
}

/** The registry of a node's peers. */
export class Peers implements PeerOwner {
  readonly #options: PeersOptions
  /** The least recently seen first. */
  readonly #peers = new Map<PeerId, Peer>()
  readonly #past: PastPeers
  readonly #census = new Census()
  /** Connections of peers that are gone and on their way out. */
  readonly #closing = new Set<Promise<void>>()
  readonly #blocklist: Blocklist
  /** What is shown of them. */
  readonly directory: Directory
  #draining = false
  #running = false
  #stopped = false

  constructor(options: PeersOptions) {
    this.#options = options
    this.#blocklist = options.blocklist
    const { settings, clock } = options
    this.#past = new PastPeers(clock, settings.timeouts.resume, (peerId) => this.#closeResting(peerId, 'expired'))
    this.directory = new Directory(this.#peers, this.#past, options.blocklist)
  }

  get stopped(): boolean {
    return this.#stopped
  }

  get(peerId: PeerId): Peer | undefined {
    return this.#peers.get(peerId)
  }

  /** The same, of one that rests too. */
  find(peerId: PeerId): Peer | undefined {
    return this.#peers.get(peerId) ?? (this.#past.rests(peerId) ? this.obtain(peerId) : undefined)
  }

  get all(): Iterable<Peer> {
    return this.#peers.values()
  }

  statsOf(peerId: PeerId): PeerStats | undefined {
    return this.#peers.get(peerId)?.stats ?? this.#past.statsOf(peerId)
  }

  /** Of all peers, and of those that left in the last hour. */
  allStats(): Map<PeerId, PeerStats> {
    return new Map([...this.#past.stats, ...[...this.#peers].map(([id, { stats }]) => [id, stats] as const)])
  }

  *stats(): Generator<[Peer, PeerStats]> {
    for (const peer of this.#peers.values()) yield [peer, peer.stats]
  }

  /** How many peers are in each state. */
  count(): Record<PeerState, number> {
    return this.#census.count(this.#past.resting)
  }

  async connect({ peerId, addresses }: Target, signal: AbortSignal | undefined): Promise<void> {
    this.#checkPeer(peerId)
    if (addresses.length === 0 && this.find(peerId) === undefined) throw noAddress(peerId)
    await this.obtain(peerId).connect(addresses, signal)
  }

  /** Puts a peer into the address book, and keeps it connected when it is wanted. Resolves when the book has it. */
  add(
    peerId: PeerId,
    addresses: readonly Multiaddr[],
    options: { readonly metadata: Record<string, string> | undefined; readonly connect: boolean },
  ): Promise<void> {
    this.#checkPeer(peerId)
    const { book } = this.#options
    const peer = this.obtain(peerId)
    const written = book.add(peerId, [...peer.connection.addresses, ...addresses], options.metadata, options.connect)
    peer.saved(book.entries.get(peerId) as BookEntry)
    this.#know(addresses)
    if (options.connect && this.#running) this.#keep(peer)
    return written
  }

  /** Forgets a peer. Resolves when its connection is closed, and the book has it no longer. */
  async remove(peerId: PeerId): Promise<void> {
    this.#checkAlive()
    const written = this.#options.book.remove(peerId)
    await this.#letGo(peerId, 'removed')
    await written
  }

  async disconnect(peerId: PeerId): Promise<void> {
    const peer = this.#peers.get(peerId)
    peer?.connection.disconnect('disconnected')
    await peer?.connection.closed()
  }

  async block(peerId: PeerId, duration: number | undefined, reason: string | undefined): Promise<void> {
    this.#checkAlive()
    const already = this.#blocklist.get(peerId) !== undefined
    const block = {
      ...(duration === undefined || duration === Number.POSITIVE_INFINITY
        ? {}
        : { until: this.#options.clock.now() + duration }),
      ...(reason === undefined ? {} : { reason }),
    }
    this.#blocklist.set(peerId, block)
    const written = this.#options.book.block(peerId, block)
    this.#touch(peerId)
    if (!already) await this.#letGo(peerId, 'blocked')
    await written
  }

  async unblock(peerId: PeerId): Promise<void> {
    this.#checkAlive()
    this.#blocklist.remove(peerId)
    await this.unblocked(peerId)
  }

  /** Accepts one more name, from every peer. @throws GlueberryError `INVALID_STREAM`, `INVALID_OPTION` */
  addName(name: string): void {
    if (!this.#options.names.add(name)) return
    for (const peer of this.#peers.values()) peer.accept(name)
  }

  /** Accepts a name no longer: what waits on it is dropped, and its senders are told. */
  removeName(name: string): void {
    if (!this.#options.names.delete(name)) return
    for (const peer of this.#peers.values()) peer.withdraw(name)
  }

  /** Forgets addresses of a peer, in the address book too. Resolves when the book is written. */
  async removeAddresses(peerId: PeerId, addresses: readonly Multiaddr[]): Promise<void> {
    this.#checkAlive()
    this.#peers.get(peerId)?.removeAddresses(addresses)
    await this.#options.book.removeAddresses(peerId, addresses)
  }

  /** Begins to drain: peers that come later too are granted nothing beyond what they need. */
  drain(): void {
    this.#draining = true
    for (const peer of this.#peers.values()) peer.connection.drain()
  }

  /** Reads the address book: its peers are known from here on. */
  async load(): Promise<void> {
    const { book } = this.#options
    const blocks = await book.open()
    for (const [peerId, block] of blocks) this.#blocklist.set(peerId, block)
    for (const [peerId, entry] of book.entries) {
      if (peerId !== this.#options.settings.identity.peerId) this.obtain(peerId).saved(entry)
      this.#know(entry.addresses)
    }
  }

  /** The node runs: connects to the peers that are to be kept connected. */
  connectWanted(): void {
    this.#running = true
    this.#blocklist.start()
    const { entries } = this.#options.book
    // Their dials wait in this order: a peer that was here before is likely to be there.
    const wanted = [...this.#peers.values()].filter((peer) => this.#isWanted(peer.peerId))
    const seen = (peer: Peer): number => entries.get(peer.peerId)?.lastSeen ?? 0
    for (const peer of wanted.sort((a, b) => seen(b) - seen(a))) this.#keep(peer)
  }

  /** Peers of the book that were to be connected and never were, since the node began. */
  get neverEstablished(): readonly PeerId[] {
    return [...this.#peers.values()]
      .filter((peer) => this.#isWanted(peer.peerId) && !peer.history.worthKeeping)
      .map(({ peerId }) => peerId)
  }

  /** Lets everyone go. Resolves when every connection is closed. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#running = false
    const peers = [...this.#peers.values()]
    for (const peer of peers) peer.close('stopped')
    for (const peerId of this.#past.close()) this.#closeResting(peerId, 'stopped')
    this.#options.dials.close()
    this.#blocklist.stop()
    await Promise.all([...peers.map((peer) => peer.connection.closed()), ...this.#closing])
    this.#options.keys.destroy()
  }

  /** The record of a peer, made if there is none. */
  obtain(peerId: PeerId): Peer {
    let peer = this.#peers.get(peerId)
    if (peer === undefined) {
      const earlier = this.#past.take(peerId)
      const { stats, dormant } = earlier
      peer = this.#options.compose(peerId, this, earlier)
      if (stats !== undefined) this.#options.meter?.inherit(peer, stats)
      this.#peers.set(peerId, peer)
      this.directory.changed()
      if (dormant !== undefined) peer.rest()
    }
    return peer
  }

  #checkAlive(): void {
    if (this.#stopped) throw new GlueberryError('STOPPED', 'the node was stopped')
  }

  #checkPeer(peerId: PeerId): void {
    this.#checkAlive()
    this.#blocklist.check(peerId)
    if (peerId === this.#options.settings.identity.peerId) {
      throw new GlueberryError('INVALID_PEER_ID', `${peerId} is this node itself`, { peerId })
    }
  }

  // What peers tell.

  changed(): void {
    this.directory.changed()
  }

  counted(before: PeerState | undefined, after: PeerState | undefined): void {
    this.#census.moved(before, after)
  }

  get full(): boolean {
    return this.#census.connected >= this.#options.settings.limits.connections
  }

  get draining(): boolean {
    return this.#draining
  }

  seen(peer: Peer): void {
    const { peerId } = peer
    const { book, clock } = this.#options
    this.#peers.delete(peerId)
    this.#peers.set(peerId, peer)
    this.#know(peer.connection.addresses)
    if (book.entries.has(peerId)) book.seen(peerId, peer.connection.addresses, clock.now()).catch(() => {}) // reported
  }

  /** Connections from there come first where places are few. */
  #know(addresses: readonly Multiaddr[]): void {
    for (const address of addresses) this.#options.admission.know(originOf(address))
  }

  /** Whether it is to be kept connected. */
  #isWanted(peerId: PeerId): boolean {
    return this.#options.book.entries.get(peerId)?.connect === true && this.#blocklist.get(peerId) === undefined
  }

  #keep(peer: Peer): void {
    const { logger, reconnect } = this.#options.settings
    if (reconnect !== undefined) return peer.connection.keep()
    peer.connect([], undefined).catch((error) => {
      logger.info('a peer of the address book could not be reached', { peerId: peer.peerId, error })
    })
  }

  /** Lets a peer go and waits until its connection is closed. */
  async #letGo(peerId: PeerId, reason: 'removed' | 'blocked'): Promise<void> {
    const peer = this.find(peerId)
    peer?.close(reason)
    await peer?.connection.closed()
  }

  /** A block has ended. */
  async unblocked(peerId: PeerId): Promise<void> {
    this.#touch(peerId)
    const peer = this.#peers.get(peerId)
    if (this.#running && peer !== undefined && this.#isWanted(peerId)) this.#keep(peer)
    await this.#options.book.block(peerId, undefined)
  }

  #touch(peerId: PeerId): void {
    this.directory.changed()
    this.#peers.get(peerId)?.touch()
  }

  rests(peer: Peer): void {
    if (!this.#leave(peer)) return
    this.#past.rest(peer)
  }

  gone(peer: Peer): void {
    if (!this.#leave(peer)) return
    // A peer of the address book stays known when its connection is blocked or given up.
    const entry = this.#options.book.entries.get(peer.peerId)
    if (entry !== undefined && !this.#stopped) this.obtain(peer.peerId).saved(entry)
  }

  /** Keeps of a peer only its statistics, and waits for its connections in the background. */
  #leave(peer: Peer): boolean {
    const { peerId, stats, connection } = peer
    if (this.#peers.get(peerId) !== peer) return false
    this.#peers.delete(peerId)
    this.#options.meter?.collect(peer, stats)
    this.#past.left(peer)
    const closing = connection.closed().finally(() => this.#closing.delete(closing))
    this.#closing.add(closing)
    this.directory.changed()
    return true
  }

  #closeResting(peerId: PeerId, reason: 'expired' | 'stopped'): void {
    this.directory.changed()
    this.#options.hub.emit({ type: 'closed', peerId, reason })
  }
}
