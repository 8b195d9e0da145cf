import { IdentityKeys, INSTANCE_LENGTH } from '@glueberry/wire'
import { type Multiaddr, originOf, type Target } from './address.ts'
import type { AddressBook, BookEntry } from './address-book/address-book.ts'
import type { Clock } from './clock.ts'
import { Admission } from './connection/admission.ts'
import { Blocklist } from './connection/blocklist.ts'
import { noAddress } from './connection/connection.ts'
import { GlueberryError } from './errors.ts'
import type { EventHub, PeerState } from './events.ts'
import { seedOf } from './identity.ts'
import { Inbound } from './inbound.ts'
import { Departed } from './observe/departed.ts'
import type { Meter } from './observe/metrics.ts'
import type { PeerStats } from './observe/stats.ts'
import { BUDGET_SLACK, budgetProblems, firstWindow, type Settings } from './options.ts'
import { Peer, type PeerContext, type PeerInfo } from './peer.ts'
import type { PeerId } from './peer-id.ts'
import { Budget } from './stream/budget.ts'
import type { Delivery } from './stream/delivery.ts'
import { Kept } from './stream/kept.ts'
import type { Retired } from './stream/traffic.ts'
import type { Host } from './transport.ts'
import { AGENT } from './version.ts'

export interface PeersOptions {
  readonly settings: Settings
  readonly clock: Clock
  readonly hub: EventHub
  readonly delivery: Delivery
  readonly book: AddressBook
  readonly meter: Meter | undefined
  /** The host, while the node runs. */
  host(): Host
}

/** Peers that are known and not in the book, at most; of those that are away and have nothing here the least recently seen goes first. */
const PEERS_MAX = 10_000

/** All peers of a node: who is who, and the names that are accepted from them. */
export class Peers {
  readonly #options: PeersOptions
  /** The least recently seen first. */
  readonly #peers = new Map<PeerId, Peer>()
  readonly #departed: Departed
  /** Sequence numbers of peers that were let go: an instance never uses one twice. */
  readonly #retired = new Map<PeerId, Retired>()
  readonly #names: Set<string>
  readonly #budget: Budget
  readonly #blocklist: Blocklist
  readonly #admission: Admission
  /** What comes in from the host. */
  readonly inbound: Inbound
  readonly #keys: IdentityKeys
  readonly #context: PeerContext
  #list: readonly PeerInfo[] | undefined // until something changes
  #draining = false
  #running = false
  #stopped = false

  constructor(options: PeersOptions) {
    this.#options = options
    const { settings, clock, hub, delivery } = options
    const { identity, limits, timeouts, network, heartbeat, handshake, logger } = settings
    this.#names = new Set(settings.streams)
    this.#departed = new Departed(clock)
    this.#budget = new Budget(settings.flow.nodeBudget + BUDGET_SLACK)
    this.#blocklist = new Blocklist(clock, (peerId) => this.#unblocked(peerId).catch(() => {})) // reported
    this.#admission = new Admission({
      clock,
      max: limits.pendingConnections,
      maxPerOrigin: limits.pendingPerAddress,
      timeout: timeouts.handshake,
    })
    this.inbound = new Inbound({
      admission: this.#admission,
      stopped: () => this.#stopped,
      admits: (peerId) => this.#blocklist.get(peerId) === undefined,
      obtain: (peerId) => this.#obtain(peerId),
      get: (peerId) => this.#peers.get(peerId),
      names: () => this.#names.size,
      addresses: (addresses) => hub.emit({ type: 'addresses', addresses }),
    })
    const seed = seedOf(identity)
    this.#keys = new IdentityKeys(seed)
    seed.fill(0)
    const instance = clock.randomBytes(INSTANCE_LENGTH)
    this.#context = {
      settings,
      clock,
      hub,
      delivery,
      budget: this.#budget,
      kept: new Kept(settings.flow.nodeBudget + BUDGET_SLACK),
      blocklist: this.#blocklist,
      ownPeerId: identity.peerId,
      session: {
        clock,
        logger,
        keys: this.#keys,
        network,
        handshakeTimeout: timeouts.handshake,
        heartbeat,
        keyLife: { age: timeouts.session, bytes: limits.sessionBytes },
        handshake,
        report: (error) => hub.emit({ type: 'error', error }),
        measured: (roundTrip) => options.meter?.roundTrip(roundTrip),
      },
      names: () => this.#names,
      draining: () => this.#draining,
      setup: () => ({
        type: 'setup',
        instance,
        agent: AGENT,
        streams: [...this.#names],
        largestMessage: limits.messageSize,
        heartbeat: heartbeat.interval,
        features: [],
      }),
      dial: (peerId, address, signal) => options.host().dial(peerId, address, signal),
      changed: () => {
        this.#list = undefined
      },
      seen: (peer) => this.#seen(peer),
      gone: (peer) => this.#forget(peer),
    }
  }

  get(peerId: PeerId): Peer | undefined {
    return this.#peers.get(peerId)
  }

  /** Names that this node accepts. */
  get names(): readonly string[] {
    return [...this.#names]
  }

  get all(): Iterable<Peer> {
    return this.#peers.values()
  }

  /** Cost of all messages that are held here. */
  get held(): number {
    let held = 0
    for (const peer of this.#peers.values()) held += peer.traffic.receiver.held
    return held
  }

  /** Bytes that are kept for all peers. */
  get buffered(): number {
    let buffered = 0
    for (const peer of this.#peers.values()) buffered += peer.traffic.buffered().bytes
    return buffered
  }

  statsOf(peerId: PeerId): PeerStats | undefined {
    return this.#peers.get(peerId)?.stats ?? this.#departed.get(peerId)
  }

  /** Of everyone, and of those who went in the last hour. */
  allStats(): Map<PeerId, PeerStats> {
    return new Map([...this.#departed.entries(), ...[...this.#peers].map(([id, { stats }]) => [id, stats] as const)])
  }

  *stats(): Generator<[Peer, PeerStats]> {
    for (const peer of this.#peers.values()) yield [peer, peer.stats]
  }

  info(peerId: PeerId): PeerInfo | undefined {
    return this.#peers.get(peerId)?.info ?? this.list().find((info) => info.peerId === peerId)
  }

  /** Every known peer; the same list until something changes. */
  list(): readonly PeerInfo[] {
    if (this.#list === undefined) {
      const infos = [...this.#peers.values()].map((peer) => peer.info)
      for (const peerId of this.#blocklist.peerIds) {
        const blocked = this.#blocklist.get(peerId)
        if (this.#peers.has(peerId) || blocked === undefined) continue
        infos.push(
          Object.freeze({
            peerId,
            state: 'disconnected',
            saved: false,
            addresses: Object.freeze([]),
            metadata: Object.freeze({}),
            blocked,
          }),
        )
      }
      this.#list = Object.freeze(infos)
    }
    return this.#list
  }

  /** How many peers are in each state. */
  count(): Record<PeerState, number> {
    const count: Record<PeerState, number> = {
      disconnected: 0,
      connecting: 0,
      connected: 0,
      established: 0,
      reconnecting: 0,
      cooldown: 0,
      draining: 0,
      closed: 0,
    }
    for (const peer of this.#peers.values()) count[peer.connection.state.name]++
    return count
  }

  async connect({ peerId, addresses }: Target, signal: AbortSignal | undefined): Promise<void> {
    this.#checkPeer(peerId)
    if (addresses.length === 0 && !this.#peers.has(peerId)) throw noAddress(peerId)
    await this.#obtain(peerId).connect(addresses, signal)
  }

  /** Puts a peer into the address book, and keeps it connected when it is wanted. Resolves when the book has it. */
  add(
    peerId: PeerId,
    addresses: readonly Multiaddr[],
    options: { readonly metadata: Record<string, string> | undefined; readonly connect: boolean },
  ): Promise<void> {
    this.#checkPeer(peerId)
    const { book } = this.#options
    const peer = this.#obtain(peerId)
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
    await this.#unblocked(peerId)
  }

  /** Accepts one more name, from every peer. @throws GlueberryError `INVALID_STREAM`, `INVALID_OPTION` */
  addName(name: string): void {
    if (this.#names.has(name)) return
    const { settings } = this.#options
    const { flow, limits } = settings
    const count = this.#names.size + 1
    if (count > limits.streams) {
      throw new GlueberryError('INVALID_STREAM', `a node accepts at most limits.streams (${limits.streams}) names`, {
        stream: name,
      })
    }
    const [problem] = budgetProblems(flow, limits.messageSize, count)
    if (problem !== undefined) throw new GlueberryError('INVALID_OPTION', problem, { stream: name })
    const receivers = [...this.#peers.values()].filter((peer) => peer.traffic.receiver.hasSession)
    const needed = firstWindow(settings, count) * receivers.length
    if (needed > this.#budget.left || receivers.some((peer) => !peer.traffic.receiver.hasRoomForName)) {
      throw new GlueberryError(
        'INVALID_OPTION',
        `flow.peerBudget and flow.nodeBudget do not leave room for one more name of the peers that are connected`,
        { stream: name },
      )
    }
    this.#names.add(name)
    for (const peer of this.#peers.values()) {
      peer.connection.announceStreams([name])
      peer.traffic.receiver.accept(name)
    }
  }

  /** Begins to drain: peers that come later too are granted nothing beyond what they need. */
  drain(): void {
    this.#draining = true
    for (const peer of this.#peers.values()) peer.connection.drain()
  }

  /** Reads the address book: who is in it is known from here on. */
  async load(): Promise<void> {
    const { book } = this.#options
    const blocks = await book.open()
    for (const [peerId, block] of blocks) this.#blocklist.set(peerId, block)
    for (const [peerId, entry] of book.entries) {
      if (peerId !== this.#options.settings.identity.peerId) this.#obtain(peerId).saved(entry)
      this.#know(entry.addresses)
    }
  }

  /** The node runs: connects to who is wanted. */
  connectWanted(): void {
    this.#running = true
    this.#blocklist.start()
    for (const peer of this.#peers.values()) if (this.#isWanted(peer.peerId)) this.#keep(peer)
  }

  /** Lets everyone go. Resolves when every connection is closed. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#running = false
    const peers = [...this.#peers.values()]
    for (const peer of peers) peer.close('stopped')
    this.#blocklist.stop()
    this.#departed.close()
    await Promise.all(peers.map((peer) => peer.connection.closed()))
    this.#keys.destroy()
  }

  #obtain(peerId: PeerId): Peer {
    let peer = this.#peers.get(peerId)
    if (peer === undefined) {
      if (this.#peers.size - this.#options.book.entries.size >= PEERS_MAX) this.#evict()
      const before = this.#departed.take(peerId)
      peer = new Peer(peerId, this.#context, this.#retired.get(peerId), before)
      if (before !== undefined) this.#options.meter?.inherit(peer, before)
      this.#peers.set(peerId, peer)
      this.#list = undefined
    }
    return peer
  }

  #checkAlive(): void {
    if (this.#stopped) throw new GlueberryError('STOPPED', 'the node was stopped')
  }

  #checkPeer(peerId: PeerId): void {
    this.#checkAlive()
    const blocked = this.#blocklist.get(peerId)
    if (blocked !== undefined) {
      const why = blocked.reason === undefined ? '' : `: ${blocked.reason}`
      throw new GlueberryError('PEER_BLOCKED', `${peerId} is blocked${why}`, {
        peerId,
        hint: 'unblock it with unblockPeer',
      })
    }
    if (peerId === this.#options.settings.identity.peerId) {
      throw new GlueberryError('INVALID_PEER_ID', `${peerId} is this node itself`, { peerId })
    }
  }

  #evict(): void {
    for (const peer of this.#peers.values()) if (peer.evictable) return peer.close('expired')
  }

  /** A session with it is established. */
  #seen(peer: Peer): void {
    const { peerId } = peer
    const { book, clock } = this.#options
    this.#peers.delete(peerId)
    this.#peers.set(peerId, peer)
    this.#know(peer.connection.addresses)
    if (book.entries.has(peerId)) book.seen(peerId, peer.connection.addresses, clock.now()).catch(() => {}) // reported
  }

  /** Connections from there come first where places are few. */
  #know(addresses: readonly Multiaddr[]): void {
    for (const address of addresses) this.#admission.know(originOf(address))
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
    const peer = this.#peers.get(peerId)
    peer?.close(reason)
    await peer?.connection.closed()
  }

  /** A block has ended. */
  async #unblocked(peerId: PeerId): Promise<void> {
    this.#touch(peerId)
    const peer = this.#peers.get(peerId)
    if (this.#running && peer !== undefined && this.#isWanted(peerId)) this.#keep(peer)
    await this.#options.book.block(peerId, undefined)
  }

  #touch(peerId: PeerId): void {
    this.#list = undefined
    this.#peers.get(peerId)?.touch()
  }

  #forget(peer: Peer): void {
    if (this.#peers.get(peer.peerId) !== peer) return
    this.#peers.delete(peer.peerId)
    const { stats } = peer
    this.#options.meter?.collect(peer, stats)
    if (peer.hasHistory) this.#departed.put(peer.peerId, stats)
    const retired = peer.traffic.retire()
    if (retired !== undefined) this.#retired.set(peer.peerId, retired)
    this.#list = undefined
    // Who is in the book is known, whatever becomes of a connection: blocked, or given up.
    const entry = this.#options.book.entries.get(peer.peerId)
    if (entry !== undefined && !this.#stopped) this.#obtain(peer.peerId).saved(entry)
  }
}
