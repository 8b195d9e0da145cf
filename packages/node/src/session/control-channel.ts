import {
  ByteQueue,
  type ControlMessage,
  controlCipher,
  decodeControl,
  encodeControl,
  frameHandshakeMessage,
  RecordOpener,
  RecordSealer,
  takeHandshakeMessage,
} from '@glueberry/wire'
import { pipe } from 'it-pipe'
import { openRecords, type RecordWatch, readPreamble, splitRecords } from '../records.ts'
import type { ByteStream } from '../transport.ts'

/** The control stream of one session: handshake messages in clear, then sealed control messages. */
export class ControlChannel {
  readonly #stream: ByteStream
  readonly #queue = new ByteQueue()
  readonly #chunks: AsyncIterator<Uint8Array>
  #sealer: RecordSealer | undefined
  #opener: RecordOpener | undefined
  #congested: Promise<void> | undefined

  constructor(stream: ByteStream) {
    this.#stream = stream
    this.#chunks = stream.chunks[Symbol.asyncIterator]()
  }

  writeHandshakeMessage(message: Uint8Array): void {
    this.#stream.send([frameHandshakeMessage(message)])
  }

  /** `undefined` when the remote ends the stream instead. */
  readHandshakeMessage(): Promise<Uint8Array | undefined> {
    return readPreamble(this.#chunks, this.#queue, takeHandshakeMessage)
  }

  /** From here on everything is sealed. */
  secure(sendRoot: Uint8Array, receiveRoot: Uint8Array): void {
    this.#sealer = new RecordSealer(controlCipher(sendRoot))
    this.#opener = new RecordOpener(controlCipher(receiveRoot))
  }

  /** Whether `send` would find the stream full; what is state rather than a message waits then for `writable`. */
  get congested(): boolean {
    return this.#congested !== undefined
  }

  /** Resolves when there is room; never rejects: a broken stream ends the session by its reader. */
  async writable(): Promise<void> {
    await this.#congested
  }

  send(message: Exclude<ControlMessage, { type: 'unknown' }>): void {
    const room = this.#stream.send((this.#sealer as RecordSealer).seal([encodeControl(message)]))
    if (room || this.#congested !== undefined) return
    const over = (): void => {
      this.#congested = undefined
    }
    this.#congested = this.#stream.writable().then(over, over)
  }

  /** What the remote says, until it ends the stream. Throws on bytes that break the protocol, and when the stream breaks. */
  messages(watch: RecordWatch): AsyncGenerator<ControlMessage> {
    const opener = this.#opener as RecordOpener
    const chunks = { [Symbol.asyncIterator]: () => this.#chunks }
    return pipe(
      chunks,
      splitRecords(this.#queue, watch),
      openRecords((record) => opener.open(record)),
      async function* (plaintexts) {
        for await (const plaintext of plaintexts) yield decodeControl(plaintext)
      },
    )
  }

  /** Resolves when the remote has closed its side. */
  get ended(): Promise<void> {
    return this.#stream.ended
  }

  /** Zeroes the keys and closes this side, after what was sent. */
  async close(): Promise<void> {
    this.#destroyKeys()
    await this.#stream.closeWrite()
  }

  #destroyKeys(): void {
    this.#sealer?.destroy()
    this.#opener?.destroy()
  }
}
