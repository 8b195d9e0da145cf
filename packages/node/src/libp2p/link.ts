import type { Connection } from '@libp2p/interface'
import { GlueberryError } from '../errors.ts'
import type { PeerId } from '../peer-id.ts'
import { parsePeerId } from '../peer-ref.ts'
import type { AdmissionSlot, ByteStream, Link } from '../transport/transport.ts'
import { OTHER_PROGRAM } from './changes/early-streams.ts'
import { closeWithin, Libp2pByteStream, type StreamOptions } from './stream.ts'

export interface Libp2pLinkOptions extends StreamOptions {
  /** How many data streams one connection may have in each direction. */
  readonly streams: number
}

/** A libp2p connection. */
export class Libp2pLink implements Link {
  readonly peerId: PeerId
  readonly direction: Link['direction']
  readonly #connection: Connection
  readonly #options: Libp2pLinkOptions
  readonly #slot: AdmissionSlot | undefined

  constructor(connection: Connection, options: Libp2pLinkOptions, slot: AdmissionSlot | undefined) {
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

  get open(): boolean {
    return this.#connection.status === 'open'
  }

  async openStream(protocol: string, signal: AbortSignal): Promise<ByteStream> {
    try {
      const stream = await this.#connection.newStream(protocol, { signal, maxOutboundStreams: this.#options.streams })
      return new Libp2pByteStream(stream, this.#connection, this.#options)
    } catch (cause) {
      if (signal.aborted) throw signal.reason
      if (cause instanceof Error && cause.name === 'UnsupportedProtocolError') {
        throw new GlueberryError('VERSION_MISMATCH', `${this.peerId} does not speak ${protocol}`, {
          peerId: this.peerId,
          hint: OTHER_PROGRAM,
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
    await closeWithin(this.#options.clock, this.#connection)
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
