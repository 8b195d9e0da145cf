import { type Multiaddr, parseAddressesOf, parseTarget } from './address.ts'
import { checkMetadata } from './address-book/metadata.ts'
import { composeNode, type NodeParts } from './compose.ts'
import { GlueberryError } from './errors.ts'
import {
  EVENT_TYPES,
  type EventOf,
  type EventSubscription,
  type EventType,
  type NodeEvent,
  type NodeState,
  type PeerState,
} from './events/events.ts'
import type { DrainReport } from './lifecycle.ts'
import type { PeerStats } from './observe/stats.ts'
import { bytesOf, checkFunction, checkName, checkOptions } from './options/check.ts'
import type { NodeOptions } from './options/options.ts'
import type { Settings } from './options/settings.ts'
import { verifyOptions } from './options/verify-options.ts'
import type { PeerId } from './peer-id.ts'
import { type PeerRef, toPeerId } from './peer-ref.ts'
import type { Peer } from './peers/peer.ts'
import type { PeerInfo } from './peers/peer-info.ts'
import { type Platform, systemPlatform } from './platform.ts'
import type { Message } from './stream/message.ts'
import type { Closable, Subscription } from './subscription.ts'

/** What every call takes that may wait. When the signal aborts, the call rejects with its reason. */
export interface AbortOptions {
  /** Aborts the wait. */
  signal?: AbortSignal | undefined
}

/** How `handle` calls its handler. */
export interface HandleOptions extends AbortOptions {
  /** How many messages are handled at once, of different peers where `ordered`. Default 64. */
  concurrency?: number | undefined
  /** Whether a peer's next message waits until the one before is handled. Default true. */
  ordered?: boolean | undefined
  /** How often the handler is called again for a message that it failed on, before that counts as failed. Default 0. */
  retries?: number | undefined
  /** How long to wait before that, in milliseconds. Default 1 s. */
  retryDelay?: number | undefined
}

/** The answer of a health check. */
export interface Health {
  /** The node runs. */
  readonly ok: boolean
  /** Where the node is in its life. */
  readonly status: NodeState
  /** How many peers are in each state. */
  readonly peers: Readonly<Record<PeerState, number>>
  /** Messages received and not yet consumed: their bytes, and 256 for each. */
  readonly held: number
  /** Messages accepted by `send` and not yet consumed by their peers: their bytes, and 256 for each. */
  readonly buffered: number
  /** Changes to libp2p that do not fit its version in use: the node works, slower. Empty with the versions of the lockfile. */
  readonly degraded: readonly string[]
}

const CONNECTION_EVENTS = [
  'connecting',
  'connected',
  'established',
  'disconnected',
  'reconnecting',
  'cooldown',
  'closed',
] as const

/**
 * A peer-to-peer messaging node: named streams to other nodes, encrypted and authenticated, every message once and in
 * order while both programs live. All methods may be called at any time, from any handler too.
 *
 * @typeParam S the names that this program accepts
 * @typeParam Sends the names that it sends on; the same unless it says otherwise
 */
export class Node<S extends string = string, Sends extends string = S> implements AsyncDisposable {
  readonly #settings: Settings
  readonly #parts: NodeParts

  /**
   * Makes a node; nothing happens before `start`.
   *
   * @throws GlueberryError `INVALID_OPTION` that names every bad option, what it got and what it wants
   */
  constructor(options: NodeOptions<S>)
  /** @internal For tests: another clock, another host. */
  constructor(options: NodeOptions<S>, platform: Platform)
  constructor(options: NodeOptions<S>, platform: Platform = systemPlatform) {
    this.#settings = verifyOptions(options, platform.clock)
    this.#parts = composeNode(this.#settings, platform)
  }

  /**
   * Listens and begins to work. A start that fails leaves nothing behind and can be tried again.
   *
   * @throws GlueberryError `ADDRESS_IN_USE`, `INVALID_ADDRESS` when it cannot listen, `STOPPED` when it was stopped,
   * `ADDRESS_BOOK`
   */
  async start(): Promise<this> {
    await this.#parts.life.start()
    return this
  }

  /** Its own id. */
  get peerId(): PeerId {
    return this.#settings.identity.peerId
  }

  /** The Ed25519 public key, 32 bytes; a copy. */
  get publicKey(): Uint8Array<ArrayBuffer> {
    return this.#settings.identity.publicKey
  }

  /** Complete multiaddrs that this node listens on, its id included: what another node connects to. */
  get addrs(): readonly Multiaddr[] {
    return this.#parts.life.addresses
  }

  /** Where it is in its life; the event `status` tells of changes. */
  get status(): NodeState {
    return this.#parts.life.status
  }

  /**
   * Accepts one more stream name from now on, from peers that are connected too. Returns this node, whose type then
   * knows the name. For a name that was removed while a peer was connected, its session ends and another one begins:
   * with `reconnect: false` that is the program's to do.
   *
   * @throws GlueberryError `INVALID_STREAM`; `INVALID_OPTION` when the budgets cannot hold it
   */
  addStream<N extends string>(name: N): Node<S | N, Sends | N> {
    checkName(name)
    this.#parts.peers.addName(name)
    return this as unknown as Node<S | N, Sends | N>
  }

  /**
   * Accepts a stream name no longer. Messages that wait on it are dropped; their senders are told `undelivered`, and
   * their further sends reject with `STREAM_NOT_ACCEPTED`.
   *
   * @throws GlueberryError `INVALID_STREAM` for no name; `STREAM_TAKEN` while the name has a consumer
   */
  removeStream(name: string): void {
    checkName(name)
    if (this.#parts.delivery.hasConsumer(name)) {
      const text = `the stream ${JSON.stringify(name)} has a consumer`
      throw new GlueberryError('STREAM_TAKEN', text, { stream: name, hint: 'close its messages() or handle() first' })
    }
    this.#parts.peers.removeName(name)
  }

  /**
   * Puts a peer into the address book and, unless `connect` is false, connects to it in the background (when the node
   * starts, if it has not yet) and keeps it connected. Addresses are added to those that it has; metadata, if given,
   * takes the place of what was there. Resolves when the book is written, whatever becomes of the connection.
   *
   * @throws GlueberryError `INVALID_ADDRESS`, `PEER_BLOCKED`; `INVALID_OPTION` for metadata that is too large;
   * `ADDRESS_BOOK` when the book cannot be written: the peer is known all the same, until the node stops
   */
  async addPeer(
    peer: PeerRef,
    multiaddrs: readonly Multiaddr[],
    options: { metadata?: Record<string, string> | undefined; connect?: boolean | undefined } = {},
  ): Promise<void> {
    checkOptions('addPeer', options)
    const peerId = toPeerId(peer)
    const addresses = parseAddressesOf(peerId, multiaddrs)
    checkMetadata(options.metadata, this.#settings.limits.metadataSize)
    await this.#parts.peers.add(peerId, addresses, { metadata: options.metadata, connect: options.connect !== false })
  }

  /**
   * Forgets addresses of a peer, in the address book too. A connection that stands is not touched.
   *
   * @throws GlueberryError `INVALID_ADDRESS`; `ADDRESS_BOOK` when the book cannot be written
   */
  async removeAddress(peer: PeerRef, multiaddr: Multiaddr | readonly Multiaddr[]): Promise<void> {
    const peerId = toPeerId(peer)
    const addresses = parseAddressesOf(peerId, typeof multiaddr === 'string' ? [multiaddr] : multiaddr)
    await this.#parts.peers.removeAddresses(peerId, addresses)
  }

  /**
   * Ends the session, gives up what is kept (`undelivered`), and forgets the peer, in the address book too.
   *
   * @throws GlueberryError `ADDRESS_BOOK` when the book cannot be written
   */
  async removePeer(peer: PeerRef): Promise<void> {
    await this.#parts.peers.remove(toPeerId(peer))
  }

  /**
   * Ends a session with the peer and admits none, in either direction; for peers never seen too. With an address book
   * it holds beyond a restart.
   *
   * @param options `duration` in milliseconds (default: until `unblockPeer`), and a `reason` for `getPeer`
   */
  async blockPeer(
    peer: PeerRef,
    options: { duration?: number | undefined; reason?: string | undefined } = {},
  ): Promise<void> {
    checkOptions('blockPeer', options)
    await this.#parts.peers.block(toPeerId(peer), options.duration, options.reason)
  }

  /** Admits the peer again. */
  async unblockPeer(peer: PeerRef): Promise<void> {
    await this.#parts.peers.unblock(toPeerId(peer))
  }

  /** What is known of a peer; the same frozen value until something changes. */
  getPeer(peer: PeerRef): PeerInfo | undefined {
    return this.#parts.peers.directory.info(toPeerId(peer))
  }

  /** Every known peer; the same frozen list until something changes. */
  listPeers(): readonly PeerInfo[] {
    return this.#parts.peers.directory.list()
  }

  /**
   * Connects, and resolves with the peer's id once both applications have accepted. Each address is tried once; from
   * success on the peer is kept connected, until `disconnect`. During a backoff it tries at once.
   * Calls for one peer share one attempt; aborting one spares the others.
   *
   * @param target a peer whose addresses are known, its id as text, a multiaddr with `/p2p/…`, or several of one peer
   * @throws GlueberryError `CONNECT_FAILED`, `CONNECT_TIMEOUT`, `HANDSHAKE_TIMEOUT`, `HANDSHAKE_REFUSED`, `COOLDOWN`,
   * `NETWORK_MISMATCH`, `VERSION_MISMATCH`, `BUSY`, `PEER_BLOCKED`, `PEER_UNKNOWN` (no address), `WRONG_IDENTITY`, `INVALID_ADDRESS`,
   * `INVALID_PEER_ID`, `NOT_RUNNING`, `DRAINING`, `STOPPED`, `PEER_REMOVED`; the signal's reason when aborted
   */
  async connect(target: PeerRef | string | readonly string[], options: AbortOptions = {}): Promise<PeerId> {
    checkOptions('connect', options)
    const parsed = parseTarget(target)
    this.#parts.life.checkRunning()
    options.signal?.throwIfAborted()
    await this.#parts.peers.connect(parsed, options.signal)
    return parsed.peerId
  }

  /**
   * Ends the session in good order, and stops reconnecting, at the other side too. What is kept stays for the next
   * `connect`, `timeouts.resume` long.
   */
  async disconnect(peer: PeerRef): Promise<void> {
    await this.#parts.peers.disconnect(toPeerId(peer))
  }

  /**
   * Sends a message: bytes, which are copied, or a text as UTF-8. Resolves with its sequence when it is accepted into the
   * peer's credit (while the peer is away, into `flow.sendBuffer`); with `confirm`, when the peer's application has
   * consumed it. Messages to one peer on one name arrive in the order of the calls, each once. Their sequences count
   * from 1; from a higher one on names that come into use after the peer has withdrawn one.
   *
   * @throws GlueberryError `NOT_RUNNING`, `DRAINING`, `STOPPED`, `PEER_UNKNOWN`, `PEER_BLOCKED`, `INVALID_STREAM`,
   * `STREAM_NOT_ACCEPTED`, `MESSAGE_TOO_LARGE`, `TOO_MANY_WAITING`, `BUFFER_FULL`, `PEER_REMOVED`; with `confirm`, after
   * acceptance, `HANDLER_FAILED` (the peer's handler), `UNCONFIRMED`, `UNDELIVERED`; the signal's reason when aborted
   * before it, which leaves no gap
   */
  send(
    peer: PeerRef,
    stream: Sends,
    data: Uint8Array | string,
    options?: AbortOptions & { confirm?: boolean | undefined },
  ): Promise<number> {
    try {
      if (options !== undefined) checkOptions('send', options)
      const record = this.#sendTo(peer)
      const signal = options?.signal
      signal?.throwIfAborted()
      return record.send(stream, bytesOf(data), { confirm: options?.confirm === true, signal })
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** Like `send`, but false where that would wait; never overtakes a `send` that waits. @throws where `send` would reject */
  trySend(peer: PeerRef, stream: Sends, data: Uint8Array | string): boolean {
    return this.#sendTo(peer).trySend(stream, bytesOf(data))
  }

  /** Resolves when `trySend` would accept what it refused last on this name, or a small message. @throws where `send` would reject; the signal's reason when aborted */
  async writable(peer: PeerRef, stream: Sends, options: AbortOptions = {}): Promise<void> {
    checkOptions('writable', options)
    options.signal?.throwIfAborted()
    await this.#sendTo(peer).writable(stream, options.signal)
  }

  /** What was sent to a peer, on one name or on all, and is not yet consumed by its application. */
  buffered(peer: PeerRef, stream?: Sends): { readonly messages: number; readonly bytes: number } {
    if (stream !== undefined) checkName(stream)
    return this.#parts.peers.get(toPeerId(peer))?.traffic.buffered(stream) ?? { messages: 0, bytes: 0 }
  }

  /**
   * Resolves when everything sent before has been consumed: to one peer or to all, on one name or on all.
   *
   * @throws GlueberryError `UNDELIVERED` when some of it is given up; the signal's reason when aborted
   */
  async flush(peer?: PeerRef, options: AbortOptions & { stream?: Sends | undefined } = {}): Promise<void> {
    checkOptions('flush', options)
    if (options.stream !== undefined) checkName(options.stream)
    options.signal?.throwIfAborted()
    const peers = peer === undefined ? [...this.#parts.peers.all] : [this.#parts.peers.get(toPeerId(peer))]
    await Promise.all(peers.map((each) => each?.traffic.flush(options.stream, options.signal)))
  }

  /**
   * Messages as an async iterator; without names, on all that this node accepts now. A message is consumed when the
   * promise of `next()` has resolved. Leaving the loop frees the names.
   *
   * @throws GlueberryError `STREAM_TAKEN`, `INVALID_STREAM`
   */
  messages<T extends S = S>(streams?: T | readonly T[]): Subscription<Message<T>> {
    return this.#parts.delivery.messages(this.#consumed(streams)) as Subscription<Message<T>>
  }

  /**
   * Calls the handler with each message, in order for each peer (unless `ordered` is false), peers side by side; never
   * before this call has returned. A message is consumed when its handler has settled. A handler that throws or rejects
   * is called again, `retries` times; then it has failed: a `handler-failed` event tells of it, and a sender that waits
   * for a confirmation gets `HANDLER_FAILED`. The handler's signal aborts when this is closed or the node stops; a handler
   * that then rejects with the signal's reason leaves its message to another consumer, or to the next start. May be
   * called before `start`.
   *
   * @throws GlueberryError `STREAM_TAKEN`, `INVALID_STREAM`, `INVALID_OPTION`
   */
  handle<T extends S>(
    streams: T | readonly T[],
    handler: (message: Message<T>, signal: AbortSignal) => unknown,
    options: HandleOptions = {},
  ): Closable {
    checkFunction('handler', handler)
    checkOptions('handle', options)
    const { concurrency = 64, ordered = true, retries = 0, retryDelay = 1000, signal } = options
    const names = this.#consumed(streams)
    return this.#parts.delivery.handle(names, handler as (message: Message, signal: AbortSignal) => unknown, {
      concurrency,
      ordered,
      retries,
      retryDelay,
      signal,
    })
  }

  /** Events from this call on, filtered by peers and types; bounded, see {@link EventSubscription}. */
  subscribeEvents<T extends EventType = EventType>(
    filter: { peers?: readonly PeerRef[] | undefined; types?: readonly T[] | undefined } = {},
  ): EventSubscription<EventOf<T>> {
    checkOptions('subscribeEvents', filter)
    const { peers, types } = filter
    if (types !== undefined) checkTypes(types)
    return this.#parts.hub.subscribe({
      ...(peers === undefined ? {} : { peers: new Set(peers.map(toPeerId)) }),
      ...(types === undefined ? {} : { types: new Set<EventType>(types) }),
    }) as EventSubscription<EventOf<T>>
  }

  /** Events of one peer. */
  eventsForPeer(peer: PeerRef): EventSubscription {
    return this.subscribeEvents({ peers: [peer] })
  }

  /** Events that tell of a peer's coming into one of these states. @throws GlueberryError `INVALID_OPTION` for one that no event tells of */
  eventsForStates(...states: readonly PeerState[]): EventSubscription {
    for (const state of states) {
      if ((CONNECTION_EVENTS as readonly string[]).includes(state)) continue
      const text = `no event tells of a peer's coming into the state ${String(state)}; those that are told: ${CONNECTION_EVENTS.join(', ')}`
      throw new GlueberryError('INVALID_OPTION', text)
    }
    return this.subscribeEvents({
      types: CONNECTION_EVENTS.filter((type) => states.includes(type)),
    }) as EventSubscription
  }

  /** Calls the handler with each event of these types, none of which is dropped; returns what ends it. What a handler throws is logged. */
  on<T extends EventType>(
    types: T | readonly T[],
    handler: (event: EventOf<T>) => void,
    options?: AbortOptions,
  ): () => void
  on(types: '*', handler: (event: NodeEvent) => void, options?: AbortOptions): () => void
  on(
    types: EventType | readonly EventType[] | '*',
    handler: (event: never) => void,
    options: AbortOptions = {},
  ): () => void {
    checkFunction('handler', handler)
    checkOptions('on', options)
    const { signal } = options
    if (signal?.aborted === true) return () => undefined
    const wanted = types === '*' ? {} : { types: new Set(checkTypes(typeof types === 'string' ? [types] : types)) }
    const off = this.#parts.hub.on(wanted, handler as (event: NodeEvent) => unknown)
    const end = (): void => {
      signal?.removeEventListener('abort', end)
      off()
    }
    signal?.addEventListener('abort', end, { once: true })
    return end
  }

  /**
   * Ends in good order: waits until what has come is consumed here, then refuses new sends and waits until what was
   * sent is consumed there, then stops; at its time-out (`timeouts.drain`) it stops all the same. The report says
   * what was left; `status` events tell of both phases. Rejects for wrong options only.
   */
  drain(options: AbortOptions & { timeout?: number | undefined } = {}): Promise<DrainReport> {
    try {
      checkOptions('drain', options)
    } catch (error) {
      return Promise.reject(error)
    }
    return this.#parts.life.drain(options.timeout ?? this.#settings.timeouts.drain, options.signal)
  }

  /**
   * Stops: every wait ends, every connection closes, and no timer, socket or listener is left. Does not wait for the
   * application's loops and handlers. What was not delivered is told by `undelivered` events. All calls get one promise.
   */
  stop(): Promise<void> {
    return this.#parts.life.stop()
  }

  /** `drain` with 5 s. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.drain({ timeout: 5000 })
  }

  /** What has passed between this node and a peer, until an hour after it is gone; a copy. */
  peerStats(peer: PeerRef): PeerStats | undefined {
    return this.#parts.peers.statsOf(toPeerId(peer))
  }

  /** The statistics of all peers, and of those that went in the last hour; a copy. */
  allPeerStats(): ReadonlyMap<PeerId, PeerStats> {
    return this.#parts.peers.allStats()
  }

  /** How things are; cheap enough to be asked often. */
  health(): Health {
    const { life, peers, budget, kept } = this.#parts
    const { status, missing } = life
    return {
      ok: status === 'running',
      status,
      peers: peers.count(),
      held: budget.held,
      buffered: kept.used,
      degraded: missing,
    }
  }

  #sendTo(peer: PeerRef): Peer {
    this.#parts.life.checkSending()
    const { peers } = this.#parts
    const record = peers.find(typeof peer === 'string' ? peer : toPeerId(peer))
    if (record?.accepted !== true) {
      const peerId = toPeerId(peer)
      const blocked = peers.directory.info(peerId)?.blocked !== undefined
      throw new GlueberryError(
        blocked ? 'PEER_BLOCKED' : 'PEER_UNKNOWN',
        `${peerId} is ${blocked ? 'blocked' : 'neither connected nor in the address book'}`,
        {
          peerId,
          hint: blocked ? 'unblock it with unblockPeer' : 'connect to it first',
        },
      )
    }
    return record
  }

  #consumed(streams: string | readonly string[] | undefined): readonly string[] {
    if (streams !== undefined && typeof streams !== 'string' && !Array.isArray(streams)) checkName(streams)
    const names =
      streams === undefined
        ? [...this.#parts.names.all]
        : typeof streams === 'string'
          ? [streams]
          : [...new Set(streams)]
    for (const name of names) {
      checkName(name)
      if (!this.#parts.names.all.has(name)) {
        throw new GlueberryError('INVALID_STREAM', `this node does not accept the stream ${JSON.stringify(name)}`, {
          stream: name,
          hint: 'name it in the option `streams`, or call addStream first',
        })
      }
    }
    return names
  }
}

function checkTypes<T extends EventType>(types: readonly T[]): readonly T[] {
  for (const type of types) {
    if (EVENT_TYPES.has(type)) continue
    throw new GlueberryError(
      'INVALID_OPTION',
      `an event type is one of ${[...EVENT_TYPES].join(', ')}, got ${JSON.stringify(type)}`,
    )
  }
  return types
}
