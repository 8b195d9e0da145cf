import { type ByteQueue, takeRecord } from '@glueberry/wire'
import type { Cancellable, Clock } from './clock.ts'
import { GlueberryError } from './errors.ts'
import { freeWhole } from './memory.ts'

/** The header of a yamux frame, which is what stands before a record in the buffer that libp2p's Noise has opened. */
const YAMUX_HEADER = 12
/** A record may come in so many pieces, and in one more for each so many of its bytes. */
const [PIECES, BYTES_PER_PIECE] = [16, 256]

export interface RecordWatchOptions {
  readonly clock: Clock
  /** How long a record that is not whole may go without another piece, in milliseconds; their number is limited. */
  readonly timeout: number
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
      this.#await()
      if (++this.#pieces > PIECES + bytes / BYTES_PER_PIECE) {
        throw new GlueberryError('PROTOCOL', 'a record in too many pieces')
      }
    }
    this.#options.partial?.(bytes)
  }

  /** Another piece is awaited from now on. */
  #await(): void {
    const { clock, timeout, late } = this.#options
    this.#timer?.cancel()
    const timer = clock.setTimer(() => {
      // What has come while the event loop stood still is read in its next turn: look again after it.
      clock.setImmediate(() => clock.setImmediate(() => (this.#timer === timer ? late() : undefined)))
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

// Stages of a reader's pipeline, for it-pipe: a control stream and a data stream begin with the same two.

/** Cuts what arrives into whole records. */
export function splitRecords(
  queue: ByteQueue,
  watch: RecordWatch,
): (chunks: AsyncIterable<Uint8Array>) => AsyncGenerator<Uint8Array> {
  return async function* (chunks) {
    const take = (): Uint8Array | undefined => {
      const record = takeRecord(queue, watch.longest)
      if (record === undefined) watch.arrived(queue.length)
      else watch.end()
      return record
    }
    try {
      // What followed the preamble in its chunk is in the queue already.
      for (let record = take(); record !== undefined; record = take()) yield record
      for await (const chunk of chunks) {
        queue.push(chunk)
        for (let record = take(); record !== undefined; record = take()) yield record
      }
    } finally {
      watch.end()
    }
  }
}

/** Opens each record, and gives back the memory that it was in. */
export function openRecords(
  open: (record: Uint8Array) => Uint8Array<ArrayBuffer>,
): (records: AsyncIterable<Uint8Array>) => AsyncGenerator<Uint8Array<ArrayBuffer>> {
  return async function* (records) {
    for await (const record of records) {
      const plaintext = open(record)
      freeWhole(record, YAMUX_HEADER)
      yield plaintext
    }
  }
}

/** Reads chunks into the queue until `take` finds what it looks for; `undefined` when the stream ends first. */
export async function readPreamble<T>(
  chunks: AsyncIterator<Uint8Array>,
  queue: ByteQueue,
  take: (queue: ByteQueue) => T | undefined,
): Promise<T | undefined> {
  for (;;) {
    const found = take(queue)
    if (found !== undefined) return found
    const chunk = await chunks.next()
    if (chunk.done === true) return undefined
    queue.push(chunk.value)
  }
}
