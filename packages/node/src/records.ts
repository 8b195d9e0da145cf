import { type ByteQueue, takeRecord } from '@glueberry/wire'
import { freeWhole } from './memory.ts'

/** The header of a yamux frame, which is what stands before a record in the buffer that libp2p's Noise has opened. */
const YAMUX_HEADER = 12

// Stages of a reader's pipeline, for it-pipe: a control stream and a data stream begin with the same two.

/** Cuts what arrives into whole records. */
export function splitRecords(queue: ByteQueue): (chunks: AsyncIterable<Uint8Array>) => AsyncGenerator<Uint8Array> {
  return async function* (chunks) {
    // What followed the preamble in its chunk is in the queue already.
    for (let record = takeRecord(queue); record !== undefined; record = takeRecord(queue)) yield record
    for await (const chunk of chunks) {
      queue.push(chunk)
      for (let record = takeRecord(queue); record !== undefined; record = takeRecord(queue)) yield record
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
