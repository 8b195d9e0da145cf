import { type ByteQueue, FrameCursor, FrameType, type Open } from '@glueberry/wire'
import { pipe } from 'it-pipe'
import type { Clock } from '../clock.ts'
import { GlueberryError } from '../errors.ts'
import type { LoopShare } from '../loop-share.ts'
import type { PeerId } from '../peer-id.ts'
import { openRecords, RecordWatch, splitRecords } from '../records.ts'
import type { Inbox } from './inbox.ts'
import { OpenedRecord } from './opened-record.ts'

/** What a reader needs of its session and its peer. */
export interface ReaderPort {
  readonly peerId: PeerId
  readonly clock: Clock
  /** How long a record that is not whole may go without another piece, in milliseconds. */
  readonly timeout: number
  readonly loop: LoopShare
  open(record: Uint8Array): Uint8Array<ArrayBuffer>
  /** A record has been opened and is about to be used. Throws when the session is over: it must not be. */
  heard(bytes: number): void
  /** The inbox of the name that the stream says it is for; throws when that cannot be. */
  opened(open: Open): Inbox
  /** Messages of one record have been put into the inbox, a part of them when there are many. */
  arrived(inbox: Inbox, messages: number, bytes: number, redelivered: number): void
  /** So many bytes of a record for the inbox are here that is not whole. */
  partial(inbox: Inbox, bytes: number): void
  /** A record has taken too long. */
  late(error: GlueberryError): void
}

/** The plaintext of the first record, which is OPEN alone: its type, a name of 64 characters, and two numbers. */
const OPEN_MAX = 128

/** Reads one data stream, behind its header, to its FIN. Throws on everything else that ends it. One parser, used once. */
export async function readDataStream(
  chunks: AsyncIterable<Uint8Array>,
  queue: ByteQueue,
  port: ReaderPort,
): Promise<void> {
  const { peerId, clock, timeout, loop } = port
  let inbox: Inbox | undefined
  let finished = false
  const watch = new RecordWatch({
    clock,
    timeout,
    longest: () => inbox?.longestRecord ?? OPEN_MAX,
    partial: (bytes) => (inbox === undefined ? undefined : port.partial(inbox, bytes)),
    late: () => {
      const text = `a record of ${peerId} took longer than ${timeout} ms`
      port.late(new GlueberryError('CONNECT_TIMEOUT', text, { peerId }))
    },
  })
  await pipe(
    chunks,
    splitRecords(queue, watch),
    openRecords(port.open),
    async (plaintexts: AsyncIterable<Uint8Array<ArrayBuffer>>) => {
      for await (const plaintext of plaintexts) {
        if (loop.crowded(port)) await loop.turn(port)
        port.heard(plaintext.length)
        if (finished) throw violation(peerId, 'bytes came after FIN')
        const record = new OpenedRecord(plaintext)
        const cursor = new FrameCursor(plaintext)
        const receivedAt = clock.now()
        while (cursor.end < plaintext.length) {
          let messages = 0
          let bytes = 0
          let redelivered = 0
          let over = false
          while (!over && cursor.next()) {
            const { type, start, end } = cursor
            if (finished) throw violation(peerId, 'a frame came after FIN')
            if (type === FrameType.OPEN) {
              if (inbox !== undefined) throw violation(peerId, 'OPEN came twice')
              inbox = port.opened(cursor.open as Open)
              continue
            }
            if (inbox === undefined) throw violation(peerId, 'a stream does not begin with OPEN')
            if (type === FrameType.FIN) finished = true
            else if (type === FrameType.FRAGMENT) inbox.part(record, start, end)
            else {
              const message = inbox.message(record, start, end, type === FrameType.CONFIRM, receivedAt)
              if (message === undefined) continue
              messages++
              bytes += message.data.length
              if (message.redelivered) redelivered++
              over = loop.worked()
            }
          }
          if (inbox !== undefined && messages > 0) port.arrived(inbox, messages, bytes, redelivered)
          if (over && cursor.end < plaintext.length) {
            await loop.turn(port)
            port.heard(0) // the session may be over
          }
        }
        record.close()
      }
    },
  )
  if (!finished) throw new GlueberryError('CONNECT_FAILED', `a stream of ${peerId} broke off`, { peerId })
}

function violation(peerId: PeerId, what: string): GlueberryError {
  return new GlueberryError('PROTOCOL', `${peerId} broke the protocol: ${what}`, { peerId })
}
