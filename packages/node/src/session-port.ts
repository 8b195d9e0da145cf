import type { Acknowledgement, Failure, Ready, Return, Want } from '@glueberry/wire'
import type { ByteStream } from './transport/transport.ts'

// Where an established session and the streams of its peer meet. Neither knows more of the other than this.

/** A data stream that this side has opened. */
export interface OpenedStream {
  readonly stream: ByteStream
  /** The first bytes on it, in clear. */
  readonly header: Uint8Array
  /** One record in pieces; throws at the end of the key's life. */
  seal(plaintext: readonly Uint8Array[]): Uint8Array[]
}

/** What the streams of a peer use of its established session. */
export interface SessionPort {
  readonly ended: boolean
  /** Names that the peer accepts. */
  readonly remoteStreams: ReadonlySet<string>
  /** The largest message that the peer accepts. */
  readonly largestMessage: number
  /** Opens a data stream. */
  openStream(): Promise<OpenedStream>
  /** What opens the records of a data stream of the peer. @throws GlueberryError `PROTOCOL` for a number that was used before */
  opener(number: number): (record: Uint8Array) => Uint8Array<ArrayBuffer>
  /** How long no record has come on any of its streams, in milliseconds. */
  readonly quietFor: number
  /** A record of so many bytes was opened and is about to be used. Throws when the session is over: it must not be. */
  heard(bytes: number): void
  /** Asks the peer for credit, or gives some back. */
  tell(message: Want | Return): void
  /** There is something to acknowledge: the session asks what is due when it can send. */
  requestAcknowledgement(): void
  /** Ends the session. */
  fail(error: unknown): void
}

/** What is due to be told to the peer. */
export interface Due {
  /** Told before the acknowledgements that cover them. */
  readonly failures: readonly Failure[]
  readonly acknowledgements: readonly Acknowledgement[]
}

/** What a session uses of the streams of its peer. */
export interface StreamsPort {
  /** This side is about to be ready for that instance of the peer. */
  begin(instance: Uint8Array): Omit<Ready, 'type'>
  /** Messages may flow; returns whether the peer resumed. Throws when its READY cannot be. */
  attach(session: SessionPort, ready: Ready): boolean
  /** The session is over; `orderly` when a goodbye has been said. */
  detach(orderly: boolean): void
  /** Whether they brought anything. */
  acknowledge(acknowledgements: readonly Acknowledgement[]): boolean
  /** Messages that were consumed there without success; returns whether one was sent to be confirmed, and this is the first word of it. */
  failed(failures: readonly Failure[]): boolean
  /** The peer waits for credit. @throws GlueberryError `PROTOCOL` */
  want(name: string, limit: number): void
  /** The peer gives back credit. @throws GlueberryError `PROTOCOL` */
  returned(name: string, returned: number): void
  /** The peer accepts these names no longer. */
  withdrawn(names: readonly string[]): void
  due(): Due
}
