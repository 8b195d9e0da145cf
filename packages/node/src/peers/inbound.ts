import { takeDataHeader } from '@glueberry/wire'
import type { Multiaddr } from '../address.ts'
import type { Cancellable, Clock } from '../clock.ts'
import type { Admission } from '../connection/admission.ts'
import { GlueberryError } from '../errors.ts'
import type { LoopShare } from '../limits/loop-share.ts'
import type { PeerId } from '../peer-id.ts'
import type { Session } from '../session/session.ts'
import { readDataStream } from '../stream/reader.ts'
import type { ReceiveBuffer } from '../transport/receive-buffer.ts'
import { readPreamble } from '../transport/records.ts'
import type { AdmissionSlot, ByteStream, HostHandlers, Link } from '../transport/transport.ts'
import type { Peer } from './peer.ts'

/** A stream may take so many time-outs to begin, while other things come on its connection. */
const BEGINNINGS = 10
/** Streams of a connection that are over and not yet gone. */
const SLACK = 16

export interface InboundOptions {
  readonly clock: Clock
  /** How long a data stream may take until its first record is whole, in milliseconds. */
  readonly timeout: number
  readonly loop: LoopShare
  readonly admission: Admission
  stopped(): boolean
  /** Whether this peer may come in. */
  admits(peerId: PeerId): boolean
  /** The record of a peer, made if there is none. */
  obtain(peerId: PeerId): Peer
  get(peerId: PeerId): Peer | undefined
  /** This node's own addresses have changed. */
  addresses(addresses: readonly Multiaddr[]): void
}

/** Admits inbound connections, and finds the peer and session of each inbound stream. */
export class Inbound implements HostHandlers {
  readonly #options: InboundOptions
  /** How many data streams of a connection are being read. */
  readonly #open = new WeakMap<Link, number>()

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
      return stream.abort(new GlueberryError('PROTOCOL', 'only the side that dialed begins a session'))
    }
    obtain(link.peerId).connection.sessions.accept(link, stream)
  }

  onDataStream(link: Link, stream: ByteStream): void {
    void this.#readData(link, stream)
  }

  onAddresses(addresses: readonly Multiaddr[]): void {
    const { stopped, addresses: tell } = this.#options
    if (!stopped()) tell(addresses)
  }

  async #readData(link: Link, stream: ByteStream): Promise<void> {
    const { get } = this.#options
    const peer = get(link.peerId)
    const open = (this.#open.get(link) ?? 0) + 1
    // Nobody sends before this side is ready, nor more streams than there are names, twice while keys are renewed.
    if (peer?.connection.sessions.acceptsStreams(link) !== true || open > 2 * peer.traffic.receiver.names + SLACK) {
      return this.#stray(link, stream, new Error('no such session'))
    }
    this.#open.set(link, open)
    // From the stream's first byte until its first record is whole.
    const limit = this.#beginning(link, stream, peer, BEGINNINGS)
    try {
      const header = await readPreamble(stream.received, takeDataHeader)
      const session = header && peer.connection.sessions.sessionOf(link, header.session)
      // A stream of an older session is reset without a word.
      if (header === undefined || session === undefined) throw new Error('no such session')
      if (!peer.traffic.receiver.admitStream()) {
        const text = `${link.peerId} opened more streams than there are names`
        return session.fail(new GlueberryError('PROTOCOL', text, { peerId: link.peerId }))
      }
      // READY may still be on its way on the control stream.
      if (!(await establishedBehind(session, stream.received))) throw new Error('no such session')
      const { peerId } = link
      const { clock, timeout, loop } = this.#options
      const sink = peer.traffic.receiver
      const begun = (): void => limit.cancel()
      await readDataStream({ peerId, clock, timeout, loop, stream, number: header.number, session, sink, begun })
    } catch (error) {
      this.#stray(link, stream, error as Error)
    } finally {
      limit.cancel()
      this.#open.set(link, (this.#open.get(link) ?? 1) - 1)
    }
  }

  /** Breaks a stream off that does not begin in time; a line on which other things come has more of that. */
  #beginning(link: Link, stream: ByteStream, peer: Peer, left: number): Cancellable {
    const { clock, timeout } = this.#options
    let timer = clock.setTimer(() => {
      if (left > 1 && peer.connection.sessions.hears(link, timeout))
        timer = this.#beginning(link, stream, peer, left - 1)
      else stream.abort(new GlueberryError('PROTOCOL', 'a stream did not begin in time'))
    }, timeout)
    return { cancel: () => timer.cancel() }
  }

  /** It belongs to no session. Streams that ended with their connection are nobody's fault. */
  #stray(link: Link, stream: ByteStream, error: Error): void {
    stream.abort(error)
    if (link.open) this.#options.get(link.peerId)?.connection.sessions.stray()
  }
}

/** Resolves to whether the session is established. What comes before is kept, as its charge. */
async function establishedBehind(session: Session, received: ReceiveBuffer): Promise<boolean> {
  for (let held = 0; !session.established; ) {
    session.hold(received.queue.length - held)
    held = received.queue.length
    await (received.ended ? session.whenEstablished : Promise.race([received.more(), session.whenEstablished]))
    if (session.ended) return false
  }
  return true
}
