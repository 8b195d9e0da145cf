import { IdentityKeys } from '@glueberry/wire'
import { type Multiaddr, originOf, type Target } from '../address.ts'
import type { AddressBook, BookEntry } from '../address-book/address-book.ts'
import type { Clock } from '../clock.ts'
import { Admission } from '../connection/admission.ts'
import { noAddress } from '../connection/attempts.ts'
import { Dials } from '../connection/dials.ts'
import { GlueberryError } from '../errors.ts'
import type { EventHub } from '../events/event-hub.ts'
import type { PeerState } from '../events/events.ts'
import { Expiring } from '../expiring.ts'
import { seedOf } from '../identity.ts'
import type { LoopShare } from '../limits/loop-share.ts'
import { PendingMemory } from '../limits/pending-memory.ts'
import type { Meter } from '../observe/metrics.ts'
import type { PeerStats } from '../observe/stats.ts'
import { BUDGET_SLACK, budgetProblems, firstWindow } from '../options/flow-limits.ts'
import type { Settings } from '../options/settings.ts'
import type { PeerId } from '../peer-id.ts'
import { Budget } from '../stream/budget.ts'
import type { Delivery } from '../stream/delivery.ts'
import type { Host } from '../transport/transport.ts'
import { AGENT } from '../version.ts'
import { Blocklist, type PeerBlock } from './blocklist.ts'
import { type DormantPeer, NameNumbers, pack, unpack } from './dormant.ts'
import { Inbound } from './inbound.ts'
import { Peer, type PeerContext, type PeerInfo } from './peer.ts'

export interface PeersOptions {
  readonly settings: Settings
  readonly clock: Clock
  readonly hub: EventHub
  readonly delivery: Delivery
  readonly book: AddressBook
  readonly meter: Meter | undefined
  readonly loop: LoopShare
  /** Something went wrong here that no call can be told of. */
  report(error: GlueberryError): void
  /** The host, while the node runs. */
  host(): Host
}

/** Strangers that are away and for which nothing is kept: how many are remembered; the one that left first is forgotten first. */
const DORMANT_MAX = 10_000
/** How long statistics of peers that are gone are kept, in milliseconds, and of how many. */
const [STATS_KEPT, STATS_MAX] = [3_600_000, 10_000]

/** The registry of a node's peers, and the names that are accepted from them. */
export class Peers {
  readonly #options: PeersOptions
  /** The least recently seen first. */
  readonly #peers = new Map<PeerId, Peer>()
  /** Statistics of peers that are gone. */
  readonly #departed: Expiring<PeerId, PeerStats>
  /** Strangers that are away, in little memory. */
  readonly #dormant: Expiring<PeerId, DormantPeer>
  readonly #nameNumbers = new NameNumbers()
  readonly #counts: Record<PeerState, number> = { ...NONE }
  /** Connections of peers that are gone and on their way out. */
  readonly #closing = new Set<Promise<void>>()
  readonly #dials: Dials
  readonly #names: Set<string>
  readonly #budget: Budget
  readonly #kept: Budget
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
    this.#departed = new Expiring({ clock, keep: STATS_KEPT, max: STATS_MAX })
    this.#dormant = new Expiring({
      clock,
      keep: timeouts.resume,
      max: DORMANT_MAX,
      expired: (peerId) => this.#closeDormant(peerId, 'expired'),
    })
    this.#dials = new Dials(clock, limits.backgroundDials)
    const pending = new PendingMemory(limits.pendingMemory)
    this.#budget = new Budget(settings.flow.nodeBudget + BUDGET_SLACK)
    this.#blocklist = new Blocklist(clock, (peerId) => this.#unblocked(peerId).catch(() => {})) // reported
    this.#admission = new Admission({
      clock,
      max: limits.pendingConnections,
      maxPerOrigin: limits.pendingPerAddress,
      memory: pending,
      timeout: timeouts.handshake,
    })
    this.inbound = new Inbound({
      clock,
      timeout: timeouts.handshake,
      loop: options.loop,
      admission: this.#admission,
      stopped: () => this.#stopped,
      admits: (peerId) => this.#blocklist.get(peerId) === undefined,
      obtain: (peerId) => this.#obtain(peerId),
      get: (peerId) => this.#peers.get(peerId),
      addresses: (addresses) => hub.emit({ type: 'addresses', addresses }),
    })
    const seed = seedOf(identity)
    this.#keys = new IdentityKeys(seed)
    seed.fill(0)
    this.#kept = new Budget(settings.flow.nodeBudget + BUDGET_SLACK)
    this.#context = {
      settings,
      clock,
      hub,
      delivery,
      budget: this.#budget,
      kept: this.#kept,
      dials: this.#dials,
      blocklist: this.#blocklist,
      ownPeerId: identity.peerId,
      session: {
        clock,
        logger,
        keys: this.#keys,
        network,
        handshakeTimeout: timeouts.handshake,
        ownPeerId: identity.peerId,
        pending,
        heartbeat,
        keyLife: { age: timeouts.session, bytes: limits.sessionBytes },
        handshake,
        report: options.report,
        measured: (roundTrip) => options.meter?.roundTrip(roundTrip),
      },
      names: () => this.#names,
      draining: () => this.#draining,
      setup: () => ({
        type: 'setup',
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
      counted: (before, after) => {
        if (before !== undefined) this.#counts[before]--
        if (after !== undefined) this.#counts[after]++
      },
      full: () => {
        const { connected, established, draining } = this.#counts
        return connected + established + draining >= limits.connections
      },
      seen: (peer) => this.#seen(peer),
      rests: (peer) => this.#rest(peer),
      gone: (peer) => this.#forget(peer),
    }
  }

  get(peerId: PeerId): Peer | undefined {
    return this.#peers.get(peerId)
  }

  /** The same, of one that rests too. */
  find(peerId: PeerId): Peer | undefined {
    return this.#peers.get(peerId) ?? (this.#dormant.get(peerId) === undefined ? undefined : this.#obtain(peerId))
  }

  /** Names that this node accepts. */
  get names(): readonly string[] {
    return [...this.#names]
  }

  get all(): Iterable<Peer> {
    return this.#peers.values()
  }

  /** Cost of all messages that are held here: their bytes, and 256 for each. */
  get held(): number {
    return this.#budget.held
  }

  /** Cost of all messages that are kept for peers. */
  get buffered(): number {
    return this.#kept.used
  }

  statsOf(peerId: PeerId): PeerStats | undefined {
    return this.#peers.get(peerId)?.stats ?? this.#departed.get(peerId)
  }

  /** Of all peers, and of those that left in the last hour. */
  allStats(): Map<PeerId, PeerStats> {
    return new Map([...this.#departed, ...[...this.#peers].map(([id, { stats }]) => [id, stats] as const)])
  }

  *stats(): Generator<[Peer, PeerStats]> {
    for (const peer of this.#peers.values()) yield [peer, peer.stats]
  }

  info(peerId: PeerId): PeerInfo | undefined {
    const peer = this.#peers.get(peerId)
    if (peer !== undefined) return peer.info
    const blocked = this.#blocklist.get(peerId)
    return blocked === undefined && this.#dormant.get(peerId) === undefined ? undefined : away(peerId, blocked)
  }

  /** Every known peer; the same list until something changes. */
  list(): readonly PeerInfo[] {
    if (this.#list === undefined) {
      const infos = [...this.#peers.values()].map((peer) => peer.info)
      for (const [peerId] of this.#dormant) infos.push(away(peerId, this.#blocklist.get(peerId)))
      for (const peerId of this.#blocklist.peerIds) {
        const blocked = this.#blocklist.get(peerId)
        if (blocked === undefined || this.#peers.has(peerId) || this.#dormant.get(peerId) !== undefined) continue
        infos.push(away(peerId, blocked))
      }
      this.#list = Object.freeze(infos)
    }
    return this.#list
  }

  /** How many peers are in each state. */
  count(): Record<PeerState, number> {
    return { ...this.#counts, disconnected: this.#counts.disconnected + this.#dormant.size }
  }

  async connect({ peerId, addresses }: Target, signal: AbortSignal | undefined): Promise<void> {
    this.#checkPeer(peerId)
    if (addresses.length === 0 && this.find(peerId) === undefined) throw noAddress(peerId)
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
    for (const peer of this.#peers.values()) peer.accept(name)
  }

  /** Accepts a name no longer: what waits on it is dropped, and its senders are told. */
  removeName(name: string): void {
    if (!this.#names.delete(name)) return
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
      if (peerId !== this.#options.settings.identity.peerId) this.#obtain(peerId).saved(entry)
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
      .filter((peer) => this.#isWanted(peer.peerId) && !peer.hasHistory)
      .map(({ peerId }) => peerId)
  }

  /** Lets everyone go. Resolves when every connection is closed. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#running = false
    const peers = [...this.#peers.values()]
    for (const peer of peers) peer.close('stopped')
    for (const [peerId] of [...this.#dormant]) {
      this.#dormant.take(peerId)
      this.#closeDormant(peerId, 'stopped')
    }
    this.#dials.close()
    this.#blocklist.stop()
    this.#departed.close()
    this.#dormant.close()
    await Promise.all([...peers.map((peer) => peer.connection.closed()), ...this.#closing])
    this.#keys.destroy()
  }

  #obtain(peerId: PeerId): Peer {
    let peer = this.#peers.get(peerId)
    if (peer === undefined) {
      const dormant = this.#dormant.take(peerId)
      const stats = this.#departed.take(peerId)
      const state = dormant && unpack(dormant.text, this.#nameNumbers)
      peer = new Peer(peerId, this.#context, { stats, state, dormant })
      if (stats !== undefined) this.#options.meter?.inherit(peer, stats)
      this.#peers.set(peerId, peer)
      this.#list = undefined
      if (dormant !== undefined) peer.wait()
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
    const peer = this.find(peerId)
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

  #rest(peer: Peer): void {
    if (!this.#leave(peer)) return
    const { allowance, state } = peer.connection
    this.#dormant.put(peer.peerId, {
      text: pack(peer.dormantState, this.#nameNumbers),
      outage: state.outage === true,
      allowance,
    })
  }

  #forget(peer: Peer): void {
    if (!this.#leave(peer)) return
    // A peer of the address book stays known when its connection is blocked or given up.
    const entry = this.#options.book.entries.get(peer.peerId)
    if (entry !== undefined && !this.#stopped) this.#obtain(peer.peerId).saved(entry)
  }

  /** Keeps of a peer only its statistics, and waits for its connections in the background. */
  #leave(peer: Peer): boolean {
    const { peerId, stats, connection } = peer
    if (this.#peers.get(peerId) !== peer) return false
    this.#peers.delete(peerId)
    this.#options.meter?.collect(peer, stats)
    if (peer.hasHistory) {
      const { lastReason, ...rest } = stats
      // Without its error, which keeps a stack and a cause.
      this.#departed.put(peerId, {
        ...rest,
        ...(lastReason === undefined ? {} : { lastReason: { kind: lastReason.kind } }),
      })
    }
    const closing = connection.closed().finally(() => this.#closing.delete(closing))
    this.#closing.add(closing)
    this.#list = undefined
    return true
  }

  #closeDormant(peerId: PeerId, reason: 'expired' | 'stopped'): void {
    this.#list = undefined
    this.#options.hub.emit({ type: 'closed', peerId, reason })
  }
}

const NONE: Readonly<Record<PeerState, number>> = {
  disconnected: 0,
  connecting: 0,
  connected: 0,
  established: 0,
  reconnecting: 0,
  cooldown: 0,
  draining: 0,
  closed: 0,
}

/** What is known of a peer that has no record of its own: blocked, or at rest. */
function away(peerId: PeerId, blocked: PeerBlock | undefined): PeerInfo {
  return Object.freeze({
    peerId,
    state: 'disconnected',
    saved: false,
    addresses: Object.freeze([]),
    metadata: Object.freeze({}),
    ...(blocked === undefined ? {} : { blocked }),
  })
}
