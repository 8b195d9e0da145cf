import type { ByteStream } from '../transport.ts'

/** What seals a data stream that this side opens. */
export interface OpenedStream {
  readonly stream: ByteStream
  /** The first bytes on it, in clear. */
  readonly header: Uint8Array
  /** One record in pieces; throws at the end of the key's life. */
  seal(plaintext: readonly Uint8Array[]): Uint8Array[]
}

/** What the streams of a peer need from its established session: a literal, so that they know neither libp2p nor Noise. */
export interface SessionPort {
  /** Names that the peer accepts. */
  readonly remoteStreams: ReadonlySet<string>
  /** The largest message that the peer accepts. */
  readonly largestMessage: number
  open(): Promise<OpenedStream>
  /** There is something to acknowledge: the session will ask for it when it can send. */
  requestAcknowledgement(): void
  /** Ends the session. */
  fail(error: unknown): void
}
