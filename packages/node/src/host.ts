import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { privateKeyFromRaw } from '@libp2p/crypto/keys'
import type { Connection, ConnectionGater, Stream } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { createLibp2p, type Libp2p, type Libp2pOptions } from 'libp2p'
import { Uint8ArrayList } from 'uint8arraylist'
import { type Clock, deadline } from './clock.ts'
import { GlueberryError } from './errors.ts'
import { noiseCrypto } from './noise-crypto.ts'
import { type PeerId, parsePeerId } from './peer-id.ts'
import {
  type AdmissionSlot,
  type ByteStream,
  DATA_PROTOCOL,
  type Host,
  type HostHandlers,
  type Link,
  SESSION_PROTOCOL,
} from './transport.ts'

// The only file that knows libp2p. Its facts and traps are written down in ARCHITECTURE.md.

/** One record of ours travels in one yamux frame, and that in one Noise frame. */
const YAMUX_FRAME = 65_507
/** An inbound connection has its Noise and yamux by then, in milliseconds; libp2p's own 10 s would hold a slot too long. */
const UPGRADE_TIMEOUT = 5000
/** A graceful close of a stream or connection takes no longer, in milliseconds. */
const CLOSE_TIMEOUT = 1000
/** Each direction may have a stream for each of 64 names, twice while keys are renewed. */
const DATA_STREAMS = 2 * 64 + 16
const SESSION_STREAMS = 8

export interface Libp2pHostOptions {
  /** Ed25519 seed and public key, 64 bytes, as libp2p takes a private key. */
  readonly privateKey: Uint8Array
  readonly peerId: PeerId
  readonly listen: readonly string[]
  readonly connections: number
  /** The longest that a dial may take, in milliseconds. */
  readonly dialTimeout: number
  /** What may wait unread in one stream before it is broken off, in bytes. */
  readonly unreadMax: number
  readonly clock: Clock
  readonly libp2p: Pick<Libp2pOptions, 'transports' | 'services' | 'peerDiscovery' | 'addresses'>
}

/** A host on libp2p: TCP (and the user's own transports), Noise, yamux. */
export class Libp2pHost implements Host {
  readonly #options: Libp2pHostOptions
  #libp2p: Libp2p | undefined
  readonly #links = new WeakMap<Connection, Libp2pLink>()
  /** Admission of inbound connections that are not yet upgraded, by the remote's host and port. */
  readonly #admitted = new Map<string, AdmissionSlot>()

  constructor(options: Libp2pHostOptions) {
    this.#options = options
  }

  get addresses(): readonly string[] {
    return this.#libp2p?.getMultiaddrs().map(String) ?? []
  }

  async start(handlers: HostHandlers): Promise<void> {
    const { privateKey, listen, connections, dialTimeout, libp2p } = this.#options
    const node = await createLibp2p({
      start: false,
      privateKey: privateKeyFromRaw(privateKey),
      addresses: { ...libp2p.addresses, listen: [...listen, ...(libp2p.addresses?.listen ?? [])] },
      transports: [tcp(), ...(libp2p.transports ?? [])],
      connectionEncrypters: [noise({ crypto: noiseCrypto })],
      streamMuxers: [
        yamux({
          maxMessageSize: YAMUX_FRAME,
          // Streams are never paused, so the window only has to keep the pipe full; above the read buffer it would abort.
          streamOptions: { maxStreamWindowSize: 4 * 1024 * 1024 },
        }),
      ],
      ...(libp2p.services === undefined ? {} : { services: libp2p.services }),
      ...(libp2p.peerDiscovery === undefined ? {} : { peerDiscovery: libp2p.peerDiscovery }),
      connectionManager: {
        maxConnections: connections,
        // Pending connections are limited per address by our own admission; libp2p's limit over all hosts
        // together would let a dozen idle sockets shut everyone out.
        maxIncomingPendingConnections: Number.MAX_SAFE_INTEGER,
        inboundConnectionThreshold: Number.MAX_SAFE_INTEGER,
        reconnectRetries: 0,
        inboundUpgradeTimeout: UPGRADE_TIMEOUT,
        addressDialTimeout: dialTimeout, // each dial has our own deadline
      },
      // One failed ping would abort a connection; the session's heartbeat judges silence instead.
      connectionMonitor: { enabled: false },
      connectionGater: this.#gater(handlers),
    })
    this.#libp2p = node
    node.addEventListener('self:peer:update', () => handlers.onAddresses(this.addresses))
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
    } catch (cause) {
      throw new GlueberryError('INVALID_ADDRESS', `cannot listen on ${listen.join(', ')}: ${whyNot(cause)}`, { cause })
    }
  }

  async stop(): Promise<void> {
    const node = this.#libp2p
    await Promise.resolve(node?.stop()).catch(() => {}) // each of its parts has been told; what failed cannot be closed better
    // libp2p leaves its address manager's debounce timer behind: a second in which the process could not exit.
    const { components } = (node ?? {}) as {
      components?: { addressManager?: { _updatePeerStoreAddresses?: { stop?(): void } } }
    }
    components?.addressManager?._updatePeerStoreAddresses?.stop?.()
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
      const error = new GlueberryError('CONNECT_FAILED', `${address} is not ${peerId}: ${answered} answered there`, {
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
        const { host, key } = endpoint(socket.remoteAddr)
        const slot = handlers.admit(host, (error) => socket.abort(error))
        if (slot === undefined) return true
        this.#admitted.set(key, slot)
        socket.addEventListener('close', () => {
          this.#admitted.delete(key)
          slot.release()
        })
        return false
      },
      denyInboundEncryptedConnection: (peerId) =>
        peerId.type !== 'Ed25519' || !handlers.admitsPeer(parsePeerId(String(peerId))),
      denyOutboundEncryptedConnection: (peerId) => peerId.type !== 'Ed25519',
    }
  }

  #accept(then: (link: Libp2pLink, stream: ByteStream) => void): (stream: Stream, connection: Connection) => void {
    return (stream, connection) => then(this.#link(connection), new Libp2pByteStream(stream, this.#options))
  }

  #link(connection: Connection): Libp2pLink {
    let link = this.#links.get(connection)
    if (link === undefined) {
      link = new Libp2pLink(connection, this.#options, this.#admitted.get(endpoint(connection.remoteAddr).key))
      this.#links.set(connection, link)
    }
    return link
  }
}

class Libp2pLink implements Link {
  readonly peerId: PeerId
  readonly direction: Link['direction']
  readonly #connection: Connection
  readonly #options: Libp2pHostOptions
  readonly #slot: AdmissionSlot | undefined

  constructor(connection: Connection, options: Libp2pHostOptions, slot: AdmissionSlot | undefined) {
    this.#connection = connection
    this.#options = options
    this.#slot = slot
    this.peerId = parsePeerId(String(connection.remotePeer))
    this.direction = connection.direction
  }

  sessionBegan(): void {
    this.#slot?.sessionBegan()
  }

  established(): void {
    this.#slot?.release()
  }

  async openStream(protocol: string, signal: AbortSignal): Promise<ByteStream> {
    try {
      const stream = await this.#connection.newStream(protocol, { signal, maxOutboundStreams: DATA_STREAMS })
      return new Libp2pByteStream(stream, this.#options)
    } catch (cause) {
      if (signal.aborted) throw signal.reason
      if (cause instanceof Error && cause.name === 'UnsupportedProtocolError') {
        throw new GlueberryError('VERSION_MISMATCH', `${this.peerId} does not speak ${protocol}`, {
          peerId: this.peerId,
          hint: 'it is no Glueberry node, or one of another version',
          cause,
        })
      }
      throw new GlueberryError('CONNECT_FAILED', `${this.peerId} closed the connection`, {
        peerId: this.peerId,
        hint: 'it may have blocked this node, or have as many connections as it takes',
        cause,
      })
    }
  }

  async close(): Promise<void> {
    const limit = deadline(this.#options.clock, CLOSE_TIMEOUT, () => new Error('closing took too long'))
    try {
      await this.#connection.close({ signal: limit.signal })
    } catch (error) {
      this.#connection.abort(error as Error)
    } finally {
      limit.cancel()
    }
  }

  abort(error: Error): void {
    this.#connection.abort(error)
  }

  onClose(listener: (error?: Error) => void): void {
    if (this.#connection.status !== 'open') return listener()
    this.#connection.addEventListener('close', (event) => listener((event as Event & { error?: Error }).error), {
      once: true,
    })
  }
}

class Libp2pByteStream implements ByteStream {
  readonly chunks: AsyncIterable<Uint8Array>
  readonly #stream: Stream
  readonly #clock: Clock
  readonly #unreadMax: number
  readonly #over = Promise.withResolvers<void>()
  #unread: Uint8Array[] = []
  #unreadBytes = 0
  #ended = false
  #error: Error | undefined
  #wake: (() => void) | undefined

  constructor(stream: Stream, options: Libp2pHostOptions) {
    this.#stream = stream
    this.#clock = options.clock
    this.#unreadMax = options.unreadMax
    this.chunks = { [Symbol.asyncIterator]: () => this.#read() }
    // A `message` listener takes everything at once: libp2p's own iterators buffer without a limit, or abort at 4 MiB.
    stream.addEventListener('message', (event) => this.#push(event.data))
    stream.addEventListener('end', () => this.#end())
    stream.addEventListener('close', (event) => this.#end(event.error))
  }

  send(pieces: readonly Uint8Array[]): boolean {
    return this.#stream.send(new Uint8ArrayList(...pieces))
  }

  get ended(): Promise<void> {
    return this.#over.promise
  }

  writable(): Promise<void> {
    const stream = this.#stream
    // Not `stream.onDrain()`: its promise is never renewed, so from the second use on it returns at once.
    return new Promise((resolve, reject) => {
      if (stream.writeStatus !== 'writable') return reject(this.#error ?? new Error('the stream is closed'))
      if (!stream.writableNeedsDrain) return resolve()
      const settle = (): void => {
        stream.removeEventListener('drain', settle)
        stream.removeEventListener('close', settle)
        if (stream.writeStatus === 'writable') resolve()
        else reject(this.#error ?? new Error('the stream is closed'))
      }
      stream.addEventListener('drain', settle)
      stream.addEventListener('close', settle)
    })
  }

  async closeWrite(): Promise<void> {
    const limit = deadline(this.#clock, CLOSE_TIMEOUT, () => new Error('closing took too long'))
    try {
      await this.#stream.close({ signal: limit.signal })
    } catch (error) {
      this.#stream.abort(error as Error)
    } finally {
      limit.cancel()
    }
  }

  abort(error: Error): void {
    this.#stream.abort(error)
  }

  #push(data: Uint8Array | Uint8ArrayList): void {
    this.#unreadBytes += data.byteLength
    if (this.#unreadBytes > this.#unreadMax) {
      return this.#stream.abort(
        new GlueberryError('PROTOCOL', `more than ${this.#unreadMax} bytes wait unread in one stream`),
      )
    }
    if (data instanceof Uint8Array) this.#unread.push(data)
    else this.#unread.push(...data)
    this.#notify()
  }

  #end(error?: Error): void {
    this.#ended = true
    this.#error ??= error
    this.#over.resolve()
    this.#notify()
  }

  #notify(): void {
    this.#wake?.()
    this.#wake = undefined
  }

  async *#read(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const unread = this.#unread
      if (unread.length > 0) {
        this.#unread = []
        this.#unreadBytes = 0
        yield* unread
      } else if (this.#ended) {
        if (this.#error !== undefined) throw this.#error
        return
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
    }
  }
}

/** Host and port of a multiaddr, as far as it has them. */
function endpoint(address: Multiaddr): { host: string; key: string } {
  const parts = address.getComponents()
  const host = parts.find(({ name }) => name === 'ip4' || name === 'ip6')?.value ?? address.toString()
  const port = parts.find(({ name }) => name === 'tcp' || name === 'udp')?.value ?? ''
  return { host, key: `${host} ${port}` }
}

/** What an error of libp2p or the system comes down to, for a person; the error itself is the cause of ours. */
function whyNot(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  const code =
    /\b(EADDRINUSE|EADDRNOTAVAIL|EACCES|ECONNREFUSED|ECONNRESET|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|ETIMEDOUT)\b/.exec(
      text,
    )?.[1]
  if (code !== undefined) return `${SYSTEM_ERRORS[code]} (${code})`
  if (error instanceof Error && error.name === 'NoValidAddressesError') return 'no transport for such an address'
  return text.split('\n', 1)[0] as string
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
}
