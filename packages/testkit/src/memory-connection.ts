import { GlueberryError, type PeerId } from '@glueberry/node'
import { ReceiveBuffer } from '../../node/src/transport/receive-buffer.ts'
import type { AdmissionSlot, ByteStream, HostHandlers, Link } from '../../node/src/transport/transport.ts'
import { DATA_PROTOCOL, SESSION_PROTOCOL } from '../../node/src/transport/transport.ts'

/** So much is under way in one stream before its writer has to wait, in bytes. */
const IN_FLIGHT_MAX = 32 * 1024

/** Who sends or receives: one life of a program. */
export interface Program {
  readonly peerId: PeerId
  readonly dead: boolean
}

/** One end of a connection: a program, and what it does with what comes. */
export interface Endpoint extends Program {
  readonly handlers: HostHandlers | undefined
}

/** What a connection needs of the network. */
export interface Carrier {
  /** Runs `task` when what is sent now arrives. */
  carry(from: Program, to: Program, task: () => void): void
  /** Both ends of the connection are gone. */
  remove(connection: MemoryConnection): void
}

/** A connection between two hosts, and what each of them knows of its end. */
export class MemoryConnection {
  readonly network: Carrier
  readonly outbound: MemoryLink
  readonly inbound: MemoryLink

  constructor(network: Carrier, dialer: Endpoint, target: Endpoint, slot: AdmissionSlot | undefined) {
    this.network = network
    this.outbound = new MemoryLink(this, dialer, target.peerId, 'outbound', undefined)
    this.inbound = new MemoryLink(this, target, dialer.peerId, 'inbound', slot)
  }

  involves(host: Endpoint): boolean {
    return this.outbound.host === host || this.inbound.host === host
  }

  otherEnd(end: MemoryLink): MemoryLink {
    return end === this.outbound ? this.inbound : this.outbound
  }

  /** This program's end is gone at once; the other learns of it as soon as anything can reach it. */
  leave(host: Endpoint): void {
    const end = this.outbound.host === host ? this.outbound : this.inbound
    this.end(end, new Error('the connection was reset'))
  }

  /** The line breaks: each end notices by itself. */
  cut(): void {
    for (const end of [this.outbound, this.inbound]) {
      this.network.carry(this.otherEnd(end).host, end.host, () => end.lost(new Error('the connection was cut')))
    }
  }

  end(end: MemoryLink, error?: Error): void {
    const other = this.otherEnd(end)
    end.lost(error)
    this.network.carry(end.host, other.host, () => other.lost(error))
  }

  /** One end is gone. */
  left(): void {
    if (this.outbound.gone && this.inbound.gone) this.network.remove(this)
  }
}

/** One end of a connection. */
export class MemoryLink implements Link {
  readonly direction: Link['direction']
  readonly host: Endpoint
  readonly peerId: PeerId
  readonly #connection: MemoryConnection
  readonly #slot: AdmissionSlot | undefined
  readonly #streams = new Set<MemoryStream>()
  readonly #listeners: ((error?: Error) => void)[] = []
  #gone: { readonly error: Error | undefined } | undefined

  constructor(
    connection: MemoryConnection,
    host: Endpoint,
    remote: PeerId,
    direction: Link['direction'],
    slot: AdmissionSlot | undefined,
  ) {
    this.#connection = connection
    this.host = host
    this.peerId = remote
    this.direction = direction
    this.#slot = slot
  }

  get gone(): boolean {
    return this.#gone !== undefined
  }

  established(): void {
    this.#slot?.release()
  }

  get open(): boolean {
    return !this.gone
  }

  openStream(protocol: string, signal: AbortSignal): Promise<ByteStream> {
    const { network } = this.#connection
    const other = this.#connection.otherEnd(this)
    return new Promise((resolve, reject) => {
      const fail = (): void => {
        const text = `the connection to ${this.peerId} is gone`
        reject(new GlueberryError('CONNECT_FAILED', text, { peerId: this.peerId }))
      }
      if (this.#gone !== undefined) return fail()
      this.#listeners.push(fail)
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
      network.carry(this.host, other.host, () => {
        if (other.#gone !== undefined) return
        const mine = new MemoryStream(network, this.host, other.host)
        const theirs = new MemoryStream(network, other.host, this.host)
        mine.connect(theirs)
        theirs.connect(mine)
        other.#accept(protocol, theirs)
        network.carry(other.host, this.host, () => {
          if (this.#gone !== undefined || signal.aborted) return mine.abort(new Error('no longer wanted'))
          this.#streams.add(mine)
          resolve(mine)
        })
      })
    })
  }

  async close(): Promise<void> {
    this.#connection.end(this)
  }

  abort(error: Error): void {
    this.#connection.end(this, error)
  }

  onClose(listener: (error?: Error) => void): void {
    if (this.#gone !== undefined) listener(this.#gone.error)
    else this.#listeners.push(listener)
  }

  lost(error: Error | undefined): void {
    if (this.#gone !== undefined) return
    this.#gone = { error }
    this.#connection.left()
    this.#slot?.release()
    for (const stream of this.#streams) stream.broken(error ?? new Error('the connection was closed'))
    for (const listener of this.#listeners.splice(0)) listener(error)
  }

  #accept(protocol: string, stream: MemoryStream): void {
    this.#streams.add(stream)
    const { handlers } = this.host
    if (protocol === SESSION_PROTOCOL) {
      this.#slot?.sessionBegan()
      handlers?.onSessionStream(this, stream)
    } else if (protocol === DATA_PROTOCOL) {
      handlers?.onDataStream(this, stream)
    }
  }
}

/** One end of a stream. */
class MemoryStream implements ByteStream {
  readonly received: ReceiveBuffer = new ReceiveBuffer()
  readonly #network: Carrier
  readonly #own: Endpoint
  readonly #remote: Endpoint
  #other!: MemoryStream
  /** What was sent and has not arrived, oldest first: it arrives in order, however long each piece takes. */
  readonly #sent: { arrived: boolean; readonly arrive: () => void }[] = []
  #inFlight = 0
  #waiting: { resolve(): void; reject(error: Error): void }[] = []
  #writable = true

  constructor(network: Carrier, own: Endpoint, remote: Endpoint) {
    this.#network = network
    this.#own = own
    this.#remote = remote
  }

  connect(other: MemoryStream): void {
    this.#other = other
  }

  send(pieces: readonly Uint8Array[]): boolean {
    if (!this.#writable || this.received.error !== undefined)
      throw this.received.error ?? new Error('the stream is closed')
    const bytes = pieces.reduce((sum, { length }) => sum + length, 0)
    this.#inFlight += bytes
    this.#carry(() => {
      this.#inFlight -= bytes
      if (this.#other.received.error === undefined) this.#other.received.push(pieces)
      if (this.#inFlight < IN_FLIGHT_MAX) for (const { resolve } of this.#waiting.splice(0)) resolve()
    })
    return this.#inFlight < IN_FLIGHT_MAX
  }

  writable(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.received.error !== undefined || !this.#writable)
        reject(this.received.error ?? new Error('the stream is closed'))
      else if (this.#inFlight < IN_FLIGHT_MAX) resolve()
      else this.#waiting.push({ resolve, reject })
    })
  }

  async closeWrite(): Promise<void> {
    if (!this.#writable) return
    this.#writable = false
    this.#carry(() => this.#other.received.end())
  }

  abort(error: Error): void {
    if (this.received.error !== undefined) return
    this.#carry(() => this.#other.broken(new Error('the stream was reset')))
    this.broken(error)
  }

  broken(error: Error): void {
    if (this.received.error !== undefined) return
    this.received.queue.drain()
    this.received.end(error)
    for (const { reject } of this.#waiting.splice(0)) reject(error)
  }

  #carry(arrive: () => void): void {
    const sent = { arrived: false, arrive }
    this.#sent.push(sent)
    this.#network.carry(this.#own, this.#remote, () => {
      sent.arrived = true
      while (this.#sent[0]?.arrived === true) this.#sent.shift()?.arrive()
    })
  }
}
