import type { Multiaddr } from './address.ts'
import type { AddressBook } from './address-book/address-book.ts'
import { withSignal } from './async.ts'
import { deadline } from './clock.ts'
import { GlueberryError, textOf } from './errors.ts'
import type { EventHub } from './events/event-hub.ts'
import type { NodeState } from './events/events.ts'
import { seedOf } from './identity.ts'
import type { Meter } from './observe/metrics.ts'
import type { Settings } from './options/settings.ts'
import type { PeerId } from './peer-id.ts'
import type { Peers } from './peers/peers.ts'
import type { Platform } from './platform.ts'
import type { Delivery } from './stream/delivery.ts'
import type { Host, HostHandlers } from './transport/transport.ts'

/** What `drain` left behind. */
export interface DrainReport {
  /** Nothing was left. */
  readonly complete: boolean
  /** Sent here, and not consumed by the peer's application. */
  readonly unsent: readonly { peerId: PeerId; stream: string; count: number }[]
  /** Received here, and not consumed by this application. */
  readonly untaken: readonly { peerId: PeerId; stream: string; count: number }[]
}

/** A stream's unread bytes are broken off above twice the credit that it can have, and this for frames and records around messages. */
const UNREAD_SLACK = 1024 * 1024
/** Each part of a node has so long to close, in milliseconds. */
const CLOSE_TIMEOUT = 10_000

export interface LifecycleOptions {
  readonly settings: Settings
  readonly platform: Platform
  readonly hub: EventHub
  readonly delivery: Delivery
  readonly book: AddressBook
  readonly meter: Meter | undefined
  readonly peers: Peers
  readonly inbound: HostHandlers
}

/** A node's life, from `idle` to `stopped`: it owns the status, and closes just what was made. */
export class Lifecycle {
  readonly #options: LifecycleOptions
  #status: NodeState = 'idle'
  #host: Host | undefined
  #starting: Promise<void> | undefined // while status is `starting`
  #draining: Promise<DrainReport> | undefined
  #stopping: Promise<void> | undefined
  /** Aborts when `stop` is called, and with it everything that waits. */
  readonly #ending = new AbortController()
  /** While draining: sends are refused already. */
  #sendsRefused = false

  constructor(options: LifecycleOptions) {
    this.#options = options
    const { signal } = options.settings
    if (signal?.aborted === true) void this.stop()
    else signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  readonly #onAbort = (): void => void this.stop()

  get status(): NodeState {
    return this.#status
  }

  /** The host, while there is one. @throws GlueberryError `NOT_RUNNING` */
  get host(): Host {
    return this.#host ?? this.#fail('NOT_RUNNING', 'the node was not started')
  }

  get addresses(): readonly Multiaddr[] {
    return this.#host?.addresses ?? []
  }

  /** Changes to libp2p that do not fit the version in use. */
  get missing(): readonly string[] {
    return this.#host?.missing ?? []
  }

  start(): Promise<void> {
    if (this.#stopping !== undefined || this.#draining !== undefined)
      return Promise.reject(new GlueberryError('STOPPED', 'the node was stopped'))
    if (this.#status === 'running') return Promise.resolve()
    this.#starting ??= this.#start().finally(() => {
      this.#starting = undefined
    })
    return this.#starting
  }

  drain(timeout: number, signal: AbortSignal | undefined): Promise<DrainReport> {
    this.#draining ??= this.#drain(timeout, signal)
    this.#options.delivery.waitInside()
    return this.#draining
  }

  stop(): Promise<void> {
    if (this.#stopping === undefined) {
      const stopped = Promise.withResolvers<void>()
      this.#stopping = stopped.promise // before anything that it tells can ask again
      void this.#stop().then(stopped.resolve)
    }
    return this.#stopping
  }

  /** @throws GlueberryError unless connections may be made */
  checkRunning(): void {
    if (this.#status === 'running') return
    if (this.#status === 'draining') this.#fail('DRAINING', 'the node is draining')
    this.#failNotRunning()
  }

  /** @throws GlueberryError unless messages may be sent */
  checkSending(): void {
    if (this.#status === 'running') return
    if (this.#status === 'draining') {
      if (!this.#sendsRefused) return
      this.#fail('DRAINING', 'the node is draining and takes no new messages')
    }
    this.#failNotRunning()
  }

  async #start(): Promise<void> {
    const { identity, listen, libp2p, flow, logger } = this.#options.settings
    this.#become('starting')
    const privateKey = new Uint8Array(64)
    privateKey.set(seedOf(identity))
    privateKey.set(identity.publicKey, 32)
    const host = this.#options.platform.makeHost({
      privateKey,
      peerId: identity.peerId,
      listen,
      dialTimeout: this.#options.settings.timeouts.connect,
      unreadMax: 2 * flow.window + UNREAD_SLACK,
      clock: this.#options.platform.clock,
      logger,
      libp2p,
    })
    try {
      await withSignal(this.#options.peers.load(), this.#ending.signal)
      await host.start(this.#options.inbound)
      this.#ending.signal.throwIfAborted()
    } catch (error) {
      await host.stop().catch(() => {}) // what matters is why it did not start
      await this.#options.book.close()
      if (this.#ending.signal.aborted) this.#fail('STOPPED', 'the node was stopped while it started')
      this.#become('idle')
      throw error
    } finally {
      privateKey.fill(0)
    }
    this.#host = host
    this.#become('running')
    logger.info('listening', { peerId: identity.peerId, addresses: host.addresses })
    this.#options.meter?.start()
    this.#options.peers.connectWanted()
  }

  async #drain(timeout: number, signal: AbortSignal | undefined): Promise<DrainReport> {
    const { logger } = this.#options.settings
    if (this.#status !== 'running') {
      await this.stop()
      return this.#report
    }
    this.#become('draining', 'receiving')
    this.#options.peers.drain()
    if (this.#options.delivery.insideHandler)
      logger.warn('drain was called inside a handler: it does not wait for that one')
    for (const stream of this.#options.delivery.pulledNames()) {
      logger.info('drain waits for the consumer of a stream; a loop that waits for drain would wait for itself', {
        stream,
      })
    }
    const limit = deadline(
      this.#options.platform.clock,
      timeout,
      () => new GlueberryError('DRAINING', `draining took longer than ${timeout} ms`),
    )
    const signals = [limit.signal, this.#ending.signal, ...(signal === undefined ? [] : [signal])]
    const over = AbortSignal.any(signals)
    try {
      await withSignal(this.#options.delivery.idle(), over)
      this.#sendsRefused = true
      this.#become('draining', 'sending')
      await withSignal(
        Promise.allSettled([...this.#options.peers.all].map((peer) => peer.traffic.flush(undefined, over))),
        over,
      )
    } catch (error) {
      logger[limit.signal.aborted ? 'warn' : 'info']('draining ended early', { error })
    } finally {
      limit.cancel()
    }
    await this.stop()
    return this.#report
  }

  /** Taken when stopping begins, so that it says what was really left. */
  #report: DrainReport = { complete: true, unsent: [], untaken: [] }

  async #stop(): Promise<void> {
    const { signal, logger } = this.#options.settings
    const wasStarting = this.#starting
    this.#become('stopping')
    this.#ending.abort(new GlueberryError('STOPPED', 'the node was stopped'))
    signal?.removeEventListener('abort', this.#onAbort)
    this.#report = this.#whatIsLeft()
    const never = this.#host === undefined ? [] : this.#options.peers.neverEstablished
    if (never.length > 0)
      logger.info('peers of the address book were never established', {
        count: never.length,
        peerIds: never.slice(0, 10),
      })
    // One after the other, each whatever became of the others, and none for ever.
    const failures: unknown[] = []
    const close = async (what: string, closing: () => unknown): Promise<void> => {
      const text = `${what} took longer than ${CLOSE_TIMEOUT} ms to close`
      const limit = deadline(this.#options.platform.clock, CLOSE_TIMEOUT, () => new Error(text))
      try {
        await withSignal((async () => closing())(), limit.signal)
      } catch (error) {
        failures.push(error)
      } finally {
        limit.cancel()
      }
    }
    await close('the consumers', () => this.#options.delivery.end())
    await close('the start', () => wasStarting?.catch(() => {})) // its caller is told
    await close('the peers', () => this.#options.peers.stop())
    await close('the network', () => this.#host?.stop())
    await close('the address book', () => this.#options.book.close())
    await close('the metrics', () => this.#options.meter?.stop())
    if (failures.length > 0) {
      const cause = new AggregateError(failures)
      const text = failures.map(textOf).join('; ')
      const error = new GlueberryError('CLOSE_FAILED', `the node could not close everything: ${text}`, { cause })
      logger.error('the node could not close everything', { error: text })
      this.#options.hub.emit({ type: 'error', error })
    }
    this.#become('stopped')
    this.#options.hub.close()
  }

  #whatIsLeft(): DrainReport {
    const unsent: { peerId: PeerId; stream: string; count: number }[] = []
    const untaken: { peerId: PeerId; stream: string; count: number }[] = []
    for (const { peerId, traffic } of this.#options.peers.all) {
      for (const { name, count } of traffic.unsent()) unsent.push({ peerId, stream: name, count })
      for (const inbox of traffic.receiver.inboxes) {
        const count = inbox.waiting + inbox.inFlight
        if (count > 0) untaken.push({ peerId, stream: inbox.name, count })
      }
    }
    return { complete: unsent.length === 0 && untaken.length === 0, unsent, untaken }
  }

  #become(status: NodeState, phase?: 'receiving' | 'sending'): void {
    if (this.#status === status && phase === undefined) return
    this.#status = status
    const level = status === 'starting' || status === 'idle' || status === 'running' ? 'debug' : 'info'
    const details = phase === undefined ? {} : { phase }
    this.#options.settings.logger[level](`node is ${status}`, {
      peerId: this.#options.settings.identity.peerId,
      ...details,
    })
    this.#options.hub.emit({ type: 'status', status, ...details })
  }

  #failNotRunning(): never {
    const ended = this.#status === 'stopping' || this.#status === 'stopped'
    if (ended) this.#fail('STOPPED', 'the node was stopped')
    this.#fail('NOT_RUNNING', 'the node was not started: await node.start() first')
  }

  #fail(code: 'STOPPED' | 'DRAINING' | 'NOT_RUNNING', message: string): never {
    throw new GlueberryError(code, message)
  }
}
