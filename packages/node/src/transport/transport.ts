import type { PeerId } from '../peer-id.ts'
import type { ReceiveBuffer } from './receive-buffer.ts'

// What this package needs from what carries its bytes. `host.ts` gives it with libp2p; a test may give it from memory.

/** The protocols that streams are opened with (docs/protocol.md, Layers). */
export const SESSION_PROTOCOL = '/glueberry/session/2.0.0'
export const DATA_PROTOCOL = '/glueberry/data/2.0.0'

/** Which side dialed: `inbound` is the peer. */
export type Direction = 'inbound' | 'outbound'

/** One stream of bytes. */
export interface ByteStream {
  /** Queues the pieces, in order, and takes their memory over; false when the caller must wait for `writable` before it sends more. Throws when closed. */
  send(pieces: readonly Uint8Array[]): boolean
  /** Resolves when there is room again; rejects when the stream closes first. */
  writable(): Promise<void>
  /** What has arrived. It ends when the remote has closed its side, or the stream broke. */
  readonly received: ReceiveBuffer
  /** Closes this side, after what was sent. Never rejects. */
  closeWrite(): Promise<void>
  /** Breaks the stream off, for both sides. */
  abort(error: Error): void
}

/** A connection to one peer whose identity has been proven. */
export interface Link {
  readonly peerId: PeerId
  readonly direction: Direction
  /** Tells the host that a session is established: the connection no longer counts as pending. */
  established(): void
  /** Whether it is still there, as far as is known. */
  readonly open: boolean
  /** Rejects with a `GlueberryError`, or with the signal's reason. */
  openStream(protocol: string, signal: AbortSignal): Promise<ByteStream>
  /** Closes after what was sent, within a bounded time. Never rejects. */
  close(): Promise<void>
  abort(error: Error): void
  /** Called once when the connection is gone, at once if it is already; with what broke it, if something did. */
  onClose(listener: (error?: Error) => void): void
}

/** An inbound connection counts against the limits until it is established or gone, whichever is first. */
export interface AdmissionSlot {
  /** From here on the session's own time-out ends it. */
  sessionBegan(): void
  /** So many bytes more are kept for it, or less. */
  hold(bytes: number): void
  release(): void
}

/** What a host asks and tells; never with anything half made. */
export interface HostHandlers {
  /** Asked before any cryptography: a slot for an inbound connection from this origin (see `originOf`), or `undefined` for no. */
  admit(origin: string, abort: (error: Error) => void): AdmissionSlot | undefined
  /** Whether this peer may have a connection. */
  admitsPeer(peerId: PeerId): boolean
  onSessionStream(link: Link, stream: ByteStream): void
  onDataStream(link: Link, stream: ByteStream): void
  /** This node's own addresses have changed. */
  onAddresses(addresses: readonly string[]): void
}

/** What dials and listens. */
export interface Host {
  start(handlers: HostHandlers): Promise<void>
  /** Closes everything; harmless before `start` has ended. Rejects when a part could not be closed. */
  stop(): Promise<void>
  /** What makes it faster, or leaves no trace of it, and does not fit what it stands on. */
  readonly missing: readonly string[]
  /** Complete multiaddrs, `/p2p/…` included. */
  readonly addresses: readonly string[]
  /**
   * One new connection to this peer at this address.
   * Rejects with a `GlueberryError`, or with the signal's reason.
   */
  dial(peerId: PeerId, address: string, signal: AbortSignal): Promise<Link>
}
