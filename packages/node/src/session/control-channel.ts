import {
  type ControlMessage,
  controlCipher,
  decodeControl,
  encodeControl,
  frameHandshakeMessage,
  RecordOpener,
  RecordSealer,
  type SessionSecrets,
  takeHandshakeMessage,
} from '@glueberry/wire'
import { pipe } from 'it-pipe'
import { openRecords, type RecordWatch, readPreamble, splitRecords } from '../transport/records.ts'
import type { ByteStream } from '../transport/transport.ts'

/** The control stream of one session: handshake messages in clear, then sealed control messages. */
export class ControlChannel {
  readonly #stream: ByteStream
  #sealer: RecordSealer | undefined
  #opener: RecordOpener | undefined
  #congested: Promise<void> | undefined
  #watch: RecordWatch | undefined
  #closed = false

  constructor(stream: ByteStream) {
    this.#stream = stream
  }

  writeHandshakeMessage(message: Uint8Array): void {
    this.#stream.send([frameHandshakeMessage(message)])
  }

  /** `undefined` when the remote ends the stream instead. */
  readHandshakeMessage(): Promise<Uint8Array | undefined> {
    return readPreamble(this.#stream.received, takeHandshakeMessage)
  }

  /** From here on everything is sealed. */
  secure({ sendRoot, receiveRoot, cipher }: SessionSecrets): void {
    this.#sealer = new RecordSealer(controlCipher(sendRoot, cipher))
    this.#opener = new RecordOpener(controlCipher(receiveRoot, cipher))
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

  /**
   * Calls `handle` with what the remote says, as it comes. Resolves when the remote ends the stream; rejects with what
   * `handle` throws, on bytes that break the protocol, and when the stream breaks.
   */
  async receive(watch: RecordWatch, handle: (message: ControlMessage) => void): Promise<void> {
    const opener = this.#opener as RecordOpener
    this.#watch = watch
    try {
      await this.#stream.received.consume((queue) =>
        pipe(
          splitRecords(queue, watch),
          openRecords(this.#stream.received, (record) => opener.open(record)),
          (plaintexts: Iterable<Uint8Array>) => {
            for (const plaintext of plaintexts) {
              handle(decodeControl(plaintext))
              if (this.#closed) return undefined
            }
            return undefined
          },
        ),
      )
    } finally {
      watch.end()
    }
  }

  /** Resolves when the remote has closed its side. */
  get ended(): Promise<void> {
    return this.#stream.received.over
  }

  /** Zeroes the keys and closes this side, after what was sent. What still comes is dropped. */
  async close(): Promise<void> {
    this.#closed = true
    this.#destroyKeys()
    this.#watch?.end()
    this.#stream.received.discard()
    await this.#stream.closeWrite()
  }

  #destroyKeys(): void {
    this.#sealer?.destroy()
    this.#opener?.destroy()
  }
}
