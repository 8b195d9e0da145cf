import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { privateKeyFromRaw } from '@libp2p/crypto/keys'
import type { Connection, ConnectionGater, MultiaddrConnection, Stream } from '@libp2p/interface'
import { type TCPSocketOptions, tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p, type Libp2p, type Libp2pOptions } from 'libp2p'
import { originOf } from '../address.ts'
import type { Clock } from '../clock.ts'
import { GlueberryError, textOf } from '../errors.ts'
import type { Logger } from '../observe/logger.ts'
import type { PeerId } from '../peer-id.ts'
import { parsePeerId } from '../peer-ref.ts'
import { printable } from '../printable.ts'
import {
  type AdmissionSlot,
  type ByteStream,
  DATA_PROTOCOL,
  type Host,
  type HostHandlers,
  type Link,
  SESSION_PROTOCOL,
} from '../transport/transport.ts'
import { Changes } from './changes/changes.ts'
import { guardConnections, guardEncrypter, guardMuxer, YAMUX_FRAME_MAX, YAMUX_WINDOW_MAX } from './changes/guard.ts'
import { noiseCrypto } from './changes/noise-crypto.ts'
import { gatherWrites, leaveNoTimer, listOnce, ReadTurns, SOCKET_QUEUE } from './changes/speed.ts'
import { Libp2pLink } from './link.ts'
import { Libp2pByteStream, type StreamOptions } from './stream.ts'

// The only file that knows libp2p. Its facts and traps are written down in ARCHITECTURE.md.

/** Node's own option, for both kinds of sockets, which the types of libp2p do not know. */
const SOCKET_OPTIONS: TCPSocketOptions & { highWaterMark: number } = { highWaterMark: SOCKET_QUEUE }
/**
 * An inbound connection has its Noise and yamux by then, in milliseconds: that is five round trips, over a satellite too.
 * A connection that only holds its place loses it to a newcomer (`connection/admission.ts`).
 */
const UPGRADE_TIMEOUT = 20_000
/** A stream's protocol is agreed on by then, in milliseconds, also behind what fills a slow line. */
const NEGOTIATION_TIMEOUT = 60_000
/** Each direction may have a stream for each of 64 names, twice while keys are renewed. */
const DATA_STREAMS = 2 * 64 + 16
const SESSION_STREAMS = 8
/** The first bytes of such a stream need no answer before them: the peer has them whether it speaks the protocol or not. */
const EARLY_PROTOCOLS: ReadonlySet<string> = new Set([SESSION_PROTOCOL, DATA_PROTOCOL])
const [NOISE, YAMUX] = ['/noise', '/yamux/1.0.0']
/** What is above is reset before anything is agreed on. */
const STREAMS_MAX = DATA_STREAMS + SESSION_STREAMS + 32

export interface Libp2pHostOptions {
  /** Ed25519 seed and public key, 64 bytes, as libp2p takes a private key. */
  readonly privateKey: Uint8Array
  readonly peerId: PeerId
  readonly listen: readonly string[]
  /** The longest that a dial may take, in milliseconds. */
  readonly dialTimeout: number
  /** What may wait unread in one stream before it is broken off, in bytes. */
  readonly unreadMax: number
  readonly clock: Clock
  readonly logger: Logger
  readonly libp2p: Pick<Libp2pOptions, 'transports' | 'services' | 'peerDiscovery' | 'addresses'>
}

/** A host on libp2p: TCP (and the user's own transports), Noise, yamux. */
export class Libp2pHost implements Host {
  readonly #options: Libp2pHostOptions
  readonly #changes: Changes
  readonly #turns: ReadTurns
  #libp2p: Libp2p | undefined
  readonly #links = new WeakMap<Connection, Libp2pLink>()
  /** Admission of inbound connections, by the object in which libp2p keeps the times of each at all of its layers. */
  readonly #admitted = new WeakMap<object, AdmissionSlot>()

  constructor(options: Libp2pHostOptions) {
    this.#options = options
    this.#changes = new Changes(options.logger)
    this.#turns = new ReadTurns(options.clock)
  }

  get missing(): readonly string[] {
    return this.#changes.missing
  }

  get addresses(): readonly string[] {
    return this.#libp2p?.getMultiaddrs().map(String) ?? []
  }

  async start(handlers: HostHandlers): Promise<void> {
    const { libp2p } = this.#options
    const node = await this.#make(handlers)
    this.#libp2p = node
    listOnce(node, this.#changes)
    let announced = ''
    const announce = (): void => {
      const { addresses } = this
      if (addresses.join(' ') === announced) return
      announced = addresses.join(' ')
      handlers.onAddresses(addresses)
    }
    node.addEventListener('self:peer:update', announce)
    // libp2p remembers every peer that was ever connected, for hours. Only services of the user's may need that.
    if (libp2p.services === undefined) {
      node.addEventListener('connection:close', ({ detail: { remotePeer } }) => {
        if (node.getConnections(remotePeer).length === 0) node.peerStore.delete(remotePeer).catch(() => {})
      })
    }
    const limits = (streams: number) => ({ maxInboundStreams: streams, maxOutboundStreams: streams })
    await node.handle(
      SESSION_PROTOCOL,
      this.#accept((link, stream) => {
        link.sessionBegan()
        handlers.onSessionStream(link, stream)
      }),
      limits(SESSION_STREAMS),
    )
    await node.handle(
      DATA_PROTOCOL,
      this.#accept((link, stream) => handlers.onDataStream(link, stream)),
      limits(DATA_STREAMS),
    )
    try {
      await node.start()
      announce()
    } catch (cause) {
      const text = whyNotListening(cause)
      const code = text.includes('EADDRINUSE') ? 'ADDRESS_IN_USE' : 'INVALID_ADDRESS'
      throw new GlueberryError(code, `cannot listen: ${text}`, { cause })
    }
  }

  /** libp2p with everything that this library has no use for turned off, and ours in its place. */
  #make(handlers: HostHandlers): Promise<Libp2p> {
    const { privateKey, listen, dialTimeout, clock, libp2p } = this.#options
    return createLibp2p({
      start: false,
      privateKey: privateKeyFromRaw(privateKey),
      addresses: { ...libp2p.addresses, listen: [...listen, ...(libp2p.addresses?.listen ?? [])] },
      transports: [tcp({ dialOpts: SOCKET_OPTIONS, listenOpts: SOCKET_OPTIONS }), ...(libp2p.transports ?? [])],
      connectionProtector: () =>
        guardConnections(NOISE, clock, ({ timeline }) => {
          const slot = this.#admitted.get(timeline)
          return slot && ((bytes) => slot.hold(bytes))
        }),
      connectionEncrypters: [
        (components) => guardEncrypter(noise({ crypto: noiseCrypto(this.#changes) })(components), YAMUX, this.#changes),
      ],
      streamMuxers: [
        (components) =>
          // Streams are never paused, so the window only has to keep the pipe full; above the read buffer it would abort.
          guardMuxer(
            yamux({
              maxInboundStreams: STREAMS_MAX,
              streamOptions: { maxStreamWindowSize: YAMUX_WINDOW_MAX },
              enableKeepAlive: false, // a session has a heartbeat
            })(),
            clock,
            libp2p.services === undefined ? YAMUX_FRAME_MAX : YAMUX_WINDOW_MAX,
            () => components.registrar.getProtocols(),
            EARLY_PROTOCOLS,
            this.#changes,
          ),
      ],
      ...(libp2p.services === undefined ? {} : { services: libp2p.services }),
      ...(libp2p.peerDiscovery === undefined ? {} : { peerDiscovery: libp2p.peerDiscovery }),
      connectionManager: {
        // A session tells a peer that it is one too many (peers.ts); libp2p would close the connection without a word.
        maxConnections: Number.MAX_SAFE_INTEGER,
        maxParallelDials: Number.MAX_SAFE_INTEGER, // connection/dials.ts decides
        maxDialQueueLength: Number.MAX_SAFE_INTEGER,
        // Pending connections are limited per address by our own admission; libp2p's limit over all hosts
        // together would let a dozen idle sockets shut everyone out.
        maxIncomingPendingConnections: Number.MAX_SAFE_INTEGER,
        inboundConnectionThreshold: Number.MAX_SAFE_INTEGER,
        reconnectRetries: 0,
        inboundUpgradeTimeout: UPGRADE_TIMEOUT,
        inboundStreamProtocolNegotiationTimeout: NEGOTIATION_TIMEOUT,
        addressDialTimeout: dialTimeout, // each dial has our own deadline
      },
      // One failed ping would abort a connection; the session's heartbeat judges silence instead.
      connectionMonitor: { enabled: false },
      connectionGater: this.#gater(handlers),
    })
  }

  async stop(): Promise<void> {
    const node = this.#libp2p
    const stopping = Promise.resolve(node?.stop())
    if (node === undefined) return
    const leave = (): void => leaveNoTimer(node, this.#changes)
    leave() // a service of the user's may never stop
    await stopping.finally(leave)
  }

  async dial(peerId: PeerId, address: string, signal: AbortSignal): Promise<Link> {
    const node = this.#libp2p
    if (node === undefined) throw new GlueberryError('NOT_RUNNING', 'the node was not started')
    let connection: Connection
    try {
      // Dialed without the id, so that a stranger's answer can be named below; `force`: a connection of our own.
      connection = await node.dial(multiaddr(address), { signal, force: true })
    } catch (cause) {
      if (signal.aborted) throw signal.reason
      throw new GlueberryError('CONNECT_FAILED', `cannot connect to ${address}: ${whyNot(cause)}`, { peerId, cause })
    }
    const answered = String(connection.remotePeer)
    if (answered !== peerId) {
      const error = new GlueberryError('WRONG_IDENTITY', `${address} is not ${peerId}: ${answered} answered there`, {
        peerId,
        hint: 'the key of that node has changed, or the address is another node’s: ask for a new invite or address',
      })
      connection.abort(error)
      throw error
    }
    if (signal.aborted) {
      connection.abort(new Error('no longer wanted'))
      throw signal.reason
    }
    return this.#link(connection)
  }

  #gater(handlers: HostHandlers): ConnectionGater {
    return {
      denyInboundConnection: (socket) => {
        const slot = handlers.admit(originOf(String(socket.remoteAddr)), (error) => socket.abort(error))
        if (slot === undefined) return true
        this.#admitted.set(socket.timeline, slot)
        socket.addEventListener('close', () => slot.release())
        return false
      },
      denyInboundEncryptedConnection: (peerId, connection) => {
        this.#quicken(connection)
        return peerId.type !== 'Ed25519' || !handlers.admitsPeer(parsePeerId(String(peerId)))
      },
      denyOutboundEncryptedConnection: (peerId, connection) => {
        this.#quicken(connection)
        return peerId.type !== 'Ed25519'
      },
    }
  }

  #quicken(connection: MultiaddrConnection): void {
    gatherWrites(connection, this.#changes)
    this.#turns.add(connection, this.#changes)
  }

  #accept(then: (link: Libp2pLink, stream: ByteStream) => void): (stream: Stream, connection: Connection) => void {
    return (stream, connection) =>
      then(this.#link(connection), new Libp2pByteStream(stream, connection, this.#streamOptions))
  }

  get #streamOptions(): StreamOptions {
    return { ...this.#options, changes: this.#changes }
  }

  #link(connection: Connection): Libp2pLink {
    let link = this.#links.get(connection)
    if (link === undefined) {
      link = new Libp2pLink(
        connection,
        { ...this.#streamOptions, streams: DATA_STREAMS },
        this.#admitted.get(connection.timeline),
      )
      this.#links.set(connection, link)
    }
    return link
  }
}

/** What an error of libp2p or the system comes down to, for a person; the error itself is the cause of ours. */
function whyNot(error: unknown): string {
  const text = textOf(error)
  const code =
    /\b(EADDRINUSE|EADDRNOTAVAIL|EACCES|ECONNREFUSED|ECONNRESET|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|ETIMEDOUT|EMFILE|ENFILE)\b/.exec(
      text,
    )?.[1]
  if (code !== undefined) return `${SYSTEM_ERRORS[code]} (${code})`
  if (error instanceof Error && error.name === 'NoValidAddressesError') return 'no transport for such an address'
  return printable(text.split('\n', 1)[0] as string)
}

/** libp2p tells of each address that it cannot listen on in a line of its own, `address: error`, a stack below it. */
function whyNotListening(error: unknown): string {
  const told = textOf(error).matchAll(/^\s*(\/\S+): (?:\w*Error: )?(.*)$/gm)
  const addresses = Array.from(told, ([, address, why]) => `${address}: ${whyNot(why)}`)
  return addresses.length === 0 ? whyNot(error) : addresses.join('; ')
}

const SYSTEM_ERRORS: Record<string, string> = {
  EADDRINUSE: 'the address is in use',
  EADDRNOTAVAIL: 'this machine has no such address',
  EACCES: 'not allowed',
  ECONNREFUSED: 'nobody listens there',
  ECONNRESET: 'the connection was cut',
  EHOSTUNREACH: 'the host cannot be reached',
  ENETUNREACH: 'the network cannot be reached',
  ENOTFOUND: 'the name is not known',
  ETIMEDOUT: 'no answer',
  EMFILE: 'this process has too many open files',
  ENFILE: 'this machine has too many open files',
}
