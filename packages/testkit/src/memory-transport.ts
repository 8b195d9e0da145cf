import {
  type Connection,
  type CreateListenerOptions,
  type DialTransportOptions,
  type Listener,
  type ListenerEvents,
  type Logger,
  type Transport,
  transportSymbol,
} from '@libp2p/interface'
import { AbstractMultiaddrConnection } from '@libp2p/utils'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { TypedEventEmitter } from 'main-event'
import type { Uint8ArrayList } from 'uint8arraylist'
import { type ByteStream, type HostHandlers, type Link, SESSION_PROTOCOL } from '../../node/src/transport/transport.ts'
import type { MemoryHost, MemoryNetwork } from './memory-network.ts'

interface Components {
  readonly logger: { forComponent(name: string): Logger }
}

/**
 * What carries a `MemoryNetwork`'s bytes to libp2p, in place of TCP: whole nodes with real Noise and yamux, whose lines
 * are in memory, on simulated time.
 */
export function memoryTransport(network: MemoryNetwork, host: MemoryHost): (components: Components) => Transport {
  return ({ logger }) => new MemoryTransport(network, host, logger.forComponent('memory'))
}

class MemoryTransport implements Transport {
  readonly [transportSymbol] = true
  readonly [Symbol.toStringTag] = 'memory'
  readonly #network: MemoryNetwork
  readonly #host: MemoryHost
  readonly #log: Logger

  constructor(network: MemoryNetwork, host: MemoryHost, log: Logger) {
    this.#network = network
    this.#host = host
    this.#log = log
  }

  async dial(address: Multiaddr, options: DialTransportOptions): Promise<Connection> {
    const { signal, upgrader } = options
    const peerId = this.#network.peerAt(String(address))
    const link = await this.#host.dial(peerId, String(address), signal)
    const line = new MemoryLine(link, await link.openStream(SESSION_PROTOCOL, signal), address, this.#log)
    try {
      return await upgrader.upgradeOutbound(line, options)
    } catch (error) {
      line.abort(error as Error)
      throw error
    }
  }

  createListener(options: CreateListenerOptions): Listener {
    return new MemoryListener(this.#host, options, this.#log)
  }

  listenFilter(addresses: Multiaddr[]): Multiaddr[] {
    return addresses.filter((address) => String(address).startsWith('/memory/'))
  }

  dialFilter(addresses: Multiaddr[]): Multiaddr[] {
    return this.listenFilter(addresses)
  }
}

class MemoryListener extends TypedEventEmitter<ListenerEvents> implements Listener {
  readonly #host: MemoryHost
  readonly #options: CreateListenerOptions
  readonly #log: Logger
  readonly #closed = new AbortController()

  constructor(host: MemoryHost, options: CreateListenerOptions, log: Logger) {
    super()
    this.#host = host
    this.#options = options
    this.#log = log
  }

  async listen(): Promise<void> {
    // libp2p's own limits and the node's decide about a connection, above this one.
    const handlers: HostHandlers = {
      admit: () => ({ sessionBegan() {}, hold() {}, release() {} }),
      admitsPeer: () => true,
      onSessionStream: (link, stream) => this.#accept(link, stream),
      onDataStream() {},
      onAddresses() {},
    }
    await this.#host.start(handlers)
    queueMicrotask(() => this.safeDispatchEvent('listening'))
  }

  getAddrs(): Multiaddr[] {
    return this.#host.addresses.map((address) => multiaddr(address.replace(/\/p2p\/.*$/, '')))
  }

  updateAnnounceAddrs(): void {}

  async close(): Promise<void> {
    this.#closed.abort()
    await this.#host.stop()
    queueMicrotask(() => this.safeDispatchEvent('close'))
  }

  #accept(link: Link, stream: ByteStream): void {
    const { upgrader } = this.#options
    const line = new MemoryLine(link, stream, multiaddr(`/memory/${link.peerId}`), this.#log)
    upgrader.upgradeInbound(line, { ...this.#options, signal: this.#closed.signal }).catch((error) => line.abort(error))
  }
}

/** One end of a connection, as a socket is: bytes in order, then an end or an error. */
class MemoryLine extends AbstractMultiaddrConnection {
  readonly #link: Link
  readonly #stream: ByteStream
  #resumed: PromiseWithResolvers<void> | undefined

  constructor(link: Link, stream: ByteStream, remoteAddr: Multiaddr, log: Logger) {
    super({ remoteAddr, direction: link.direction, log })
    this.#link = link
    this.#stream = stream
    link.onClose((error) => this.onTransportClosed(error))
    const { received } = stream
    received
      .consume((queue) => {
        if (this.#resumed !== undefined) return this.#resumed.promise
        for (const chunk of queue.drain()) this.onData(chunk)
        return undefined
      })
      .then(
        () => {
          this.onTransportClosed()
          void link.close()
        },
        (error) => this.onTransportClosed(error),
      )
  }

  override sendData(data: Uint8ArrayList): { sentBytes: number; canSendMore: boolean } {
    const canSendMore = this.#stream.send([data.slice()])
    if (!canSendMore) {
      this.#stream.writable().then(
        () => this.safeDispatchEvent('drain'),
        () => {}, // the connection's end tells
      )
    }
    return { sentBytes: data.byteLength, canSendMore }
  }

  override async sendClose(options?: { signal?: AbortSignal }): Promise<void> {
    if (!this.#link.open) return
    await this.#stream.closeWrite()
    await new Promise<void>((resolve, reject) => {
      this.#link.onClose(() => resolve())
      options?.signal?.addEventListener('abort', () => reject(options.signal?.reason), { once: true })
    })
  }

  override sendReset(error: Error): void {
    this.#link.abort(error)
  }

  override sendPause(): void {
    this.#resumed ??= Promise.withResolvers()
  }

  override sendResume(): void {
    this.#resumed?.resolve()
    this.#resumed = undefined
  }
}
