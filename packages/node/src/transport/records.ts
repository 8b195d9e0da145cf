import { type ByteQueue, takeRecord } from '@glueberry/wire'
import type { Cancellable, Clock } from '../clock.ts'
import { GlueberryError } from '../errors.ts'
import type { ReceiveBuffer } from './receive-buffer.ts'

/** The rest of a record may take so many time-outs, while other things come on its connection. */
const TIMEOUTS = 10
/** A record may come in so many pieces, and in one more for each so many of its bytes. */
const [PIECES, BYTES_PER_PIECE] = [16, 256]

export interface RecordWatchOptions {
  readonly clock: Clock
  /** How long a record that is not whole may go without another piece, in milliseconds; their number is limited. */
  readonly timeout: number
  /** How long nothing has come on the connection, in milliseconds: on a slow line a piece waits behind other things. */
  quietFor(): number
  /** The longest plaintext of a record now, in bytes. */
  longest(): number
  /** So many bytes of a record that is not whole are here. */
  partial?(bytes: number): void
  /** A record has taken too long. */
  late(): void
}

/** What the records of one stream must keep to while they arrive: length, number of pieces, time. */
export class RecordWatch {
  readonly #options: RecordWatchOptions
  #timer: Cancellable | undefined // while a record is not whole
  #pieces = 0

  constructor(options: RecordWatchOptions) {
    this.#options = options
  }

  get longest(): number {
    return this.#options.longest()
  }

  /** A piece has come and all whole records were taken, which leaves so many bytes. @throws GlueberryError `PROTOCOL` for a record in too many pieces */
  arrived(bytes: number): void {
    if (bytes > 0) {
      this.#await(TIMEOUTS)
      if (++this.#pieces > PIECES + bytes / BYTES_PER_PIECE) {
        throw new GlueberryError('PROTOCOL', 'a record in too many pieces')
      }
    }
    this.#options.partial?.(bytes)
  }

  /** Another piece is awaited from now on, for one time-out; for so many of them while other things come. */
  #await(timeouts: number): void {
    const { clock, timeout, quietFor, late } = this.#options
    this.#timer?.cancel()
    const timer = clock.setTimer(() => {
      // What has come while the event loop stood still is read in its next turn: look again after it.
      clock.setImmediate(() =>
        clock.setImmediate(() => {
          if (this.#timer !== timer) return
          if (timeouts > 1 && quietFor() < timeout) this.#await(timeouts - 1)
          else late()
        }),
      )
    }, timeout)
    this.#timer = timer
  }

  /** No record is awaited. */
  end(): void {
    this.#pieces = 0
    this.#timer?.cancel()
    this.#timer = undefined
  }
}

// Stages of a reader's pipeline, for it-pipe: a control stream and a data stream begin with the same two. All of them are
// plain generators: from a socket's chunk to the application's message nothing waits for a promise.

/** Takes the whole records out of what has come. */
export function* splitRecords(queue: ByteQueue, watch: RecordWatch): Generator<Uint8Array> {
  for (;;) {
    const record = takeRecord(queue, watch.longest)
    if (record === undefined) return watch.arrived(queue.length)
    watch.end()
    yield record
  }
}

/** Opens each record, and releases it. */
export function openRecords(
  received: ReceiveBuffer,
  open: (record: Uint8Array) => Uint8Array<ArrayBuffer>,
): (records: Iterable<Uint8Array>) => Generator<Uint8Array<ArrayBuffer>> {
  return function* (records) {
    for (const record of records) {
      const plaintext = open(record)
      received.release(record)
      yield plaintext
    }
  }
}

/** Waits until `take` finds what it looks for in what has come; `undefined` when the stream ends first. */
export async function readPreamble<T>(
  received: ReceiveBuffer,
  take: (queue: ByteQueue) => T | undefined,
): Promise<T | undefined> {
  for (;;) {
    const found = take(received.queue)
    if (found !== undefined) return found
    if (received.error !== undefined) throw received.error
    if (received.ended) return undefined
    await received.more()
  }
}
