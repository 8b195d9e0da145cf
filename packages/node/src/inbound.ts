import { ByteQueue, takeDataHeader } from '@glueberry/wire'
import type { Multiaddr } from './address.ts'
import type { Admission } from './connection/admission.ts'
import { GlueberryError } from './errors.ts'
import type { Peer } from './peer.ts'
import type { PeerId } from './peer-id.ts'
import { readPreamble } from './records.ts'
import type { AdmissionSlot, ByteStream, HostHandlers, Link } from './transport.ts'

export interface InboundOptions {
  readonly admission: Admission
  stopped(): boolean
  /** Whether this peer may come in. */
  admits(peerId: PeerId): boolean
  /** The record of a peer, made if there is none. */
  obtain(peerId: PeerId): Peer
  get(peerId: PeerId): Peer | undefined
  /** How many names are accepted. */
  names(): number
  /** This node's own addresses have changed. */
  addresses(addresses: readonly Multiaddr[]): void
}

/** What comes in: who may, and which peer and session it is for. */
export class Inbound implements HostHandlers {
  readonly #options: InboundOptions

  constructor(options: InboundOptions) {
    this.#options = options
  }

  admit(origin: string, abort: (error: Error) => void): AdmissionSlot | undefined {
    const { stopped, admission } = this.#options
    return stopped() ? undefined : admission.admit(origin, abort)
  }

  admitsPeer(peerId: PeerId): boolean {
    const { stopped, admits } = this.#options
    return !stopped() && admits(peerId)
  }

  onSessionStream(link: Link, stream: ByteStream): void {
    const { stopped, obtain } = this.#options
    if (stopped() || link.direction !== 'inbound') {
      return stream.abort(new GlueberryError('PROTOCOL', 'sessions are begun by who dialed'))
    }
    obtain(link.peerId).connection.accept(link, stream)
  }

  onDataStream(link: Link, stream: ByteStream): void {
    void this.#readData(link, stream)
  }

  onAddresses(addresses: readonly Multiaddr[]): void {
    const { stopped, addresses: tell } = this.#options
    if (!stopped()) tell(addresses)
  }

  async #readData(link: Link, stream: ByteStream): Promise<void> {
    const { get, names } = this.#options
    const queue = new ByteQueue()
    const chunks = stream.chunks[Symbol.asyncIterator]()
    try {
      const header = await readPreamble(chunks, queue, takeDataHeader)
      const peer = get(link.peerId)
      const session = header && peer?.connection.sessionOf(link, header.session)
      if (session !== undefined && !session.mayHoldStream(names())) {
        return session.fail(
          new GlueberryError('PROTOCOL', `${link.peerId} opened streams before it was ready`, { peerId: link.peerId }),
        )
      }
      // A stream of an older session is reset without a word. READY may still be on its way on the control stream.
      if (header === undefined || peer === undefined || session === undefined || !(await session.whenEstablished)) {
        return this.#stray(link, stream, new Error('no such session'))
      }
      await peer.read(session, stream, header, { [Symbol.asyncIterator]: () => chunks }, queue)
    } catch (error) {
      this.#stray(link, stream, error as Error)
    }
  }

  /** It belongs to no session. Streams that ended with their connection are nobody's fault. */
  #stray(link: Link, stream: ByteStream, error: Error): void {
    stream.abort(error)
    if (link.open) this.#options.get(link.peerId)?.connection.stray()
  }
}
