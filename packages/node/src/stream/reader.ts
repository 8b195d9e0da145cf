import { type ByteQueue, FrameCursor, FrameType, type Open } from '@glueberry/wire'
import { pipe } from 'it-pipe'
import { GlueberryError } from '../errors.ts'
import type { PeerId } from '../peer-id.ts'
import { openRecords, splitRecords } from '../records.ts'
import type { Inbox } from './inbox.ts'
import { OpenedRecord } from './opened-record.ts'

/** What a reader needs of its session and its peer. */
export interface ReaderPort {
  readonly peerId: PeerId
  now(): number
  open(record: Uint8Array): Uint8Array<ArrayBuffer>
  /** A record has been opened and is about to be used. Throws when the session is over: it must not be. */
  heard(bytes: number): void
  /** The inbox of the name that the stream says it is for; throws when that cannot be. */
  opened(open: Open): Inbox
  /** Messages of one record have been put into the inbox. */
  arrived(inbox: Inbox, messages: number, bytes: number, redelivered: number): void
}

/** Reads one data stream, behind its header, to its FIN. Throws on everything else that ends it. One parser, used once. */
export async function readDataStream(
  chunks: AsyncIterable<Uint8Array>,
  queue: ByteQueue,
  port: ReaderPort,
): Promise<void> {
  let inbox: Inbox | undefined
  let finished = false
  await pipe(
    chunks,
    splitRecords(queue),
    openRecords(port.open),
    async (plaintexts: AsyncIterable<Uint8Array<ArrayBuffer>>) => {
      for await (const plaintext of plaintexts) {
        port.heard(plaintext.length)
        if (finished) throw violation(port.peerId, 'bytes came after FIN')
        const receivedAt = port.now()
        let messages = 0
        let bytes = 0
        let redelivered = 0
        const record = new OpenedRecord(plaintext)
        const cursor = new FrameCursor(plaintext)
        while (cursor.next()) {
          const { type, start, end } = cursor
          if (finished) throw violation(port.peerId, 'a frame came after FIN')
          if (type === FrameType.OPEN) {
            if (inbox !== undefined) throw violation(port.peerId, 'OPEN came twice')
            inbox = port.opened(cursor.open as Open)
            continue
          }
          if (inbox === undefined) throw violation(port.peerId, 'a stream does not begin with OPEN')
          if (type === FrameType.FIN) finished = true
          else if (type === FrameType.FRAGMENT) inbox.part(record, start, end)
          else {
            const message = inbox.message(record, start, end, type === FrameType.CONFIRM, receivedAt)
            messages++
            bytes += message.data.length
            if (message.redelivered) redelivered++
          }
        }
        record.close()
        if (inbox !== undefined && messages > 0) port.arrived(inbox, messages, bytes, redelivered)
      }
    },
  )
  if (!finished)
    throw new GlueberryError('CONNECT_FAILED', `a stream of ${port.peerId} broke off`, { peerId: port.peerId })
}

function violation(peerId: PeerId, what: string): GlueberryError {
  return new GlueberryError('PROTOCOL', `${peerId} broke the protocol: ${what}`, { peerId })
}
