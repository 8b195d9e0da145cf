import { type ByteQueue, FrameCursor, FrameType, type Open } from '@glueberry/wire'
import { pipe } from 'it-pipe'
import type { Clock } from '../clock.ts'
import { GlueberryError } from '../errors.ts'
import type { LoopShare } from '../loop-share.ts'
import type { PeerId } from '../peer-id.ts'
import type { ReceiveBuffer } from '../receive-buffer.ts'
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

/** Reads one data stream, behind its header, to its FIN. Rejects with everything else that ends it. */
export async function readDataStream(received: ReceiveBuffer, port: ReaderPort): Promise<void> {
  const reader = new DataReader(port)
  try {
    await received.consume((queue) => reader.read(queue))
    reader.end()
  } finally {
    reader.close()
  }
}

/** A record in the midst of its frames. */
interface Frames {
  readonly record: OpenedRecord
  readonly cursor: FrameCursor
  readonly receivedAt: number
}

/** The parser of one data stream. */
class DataReader {
  readonly #port: ReaderPort
  readonly #watch: RecordWatch
  #inbox: Inbox | undefined
  #finished = false
  #frames: Frames | undefined // of a record that its slice of the event loop did not suffice for

  constructor(port: ReaderPort) {
    const { peerId, clock, timeout } = port
    this.#port = port
    this.#watch = new RecordWatch({
      clock,
      timeout,
      longest: () => this.#inbox?.longestRecord ?? OPEN_MAX,
      partial: (bytes) => (this.#inbox === undefined ? undefined : port.partial(this.#inbox, bytes)),
      late: () => {
        const text = `a record of ${peerId} took longer than ${timeout} ms`
        port.late(new GlueberryError('CONNECT_TIMEOUT', text, { peerId }))
      },
    })
  }

  /** Reads the whole records in the queue. Returns a promise when the event loop is to be handed back until it resolves. */
  read(queue: ByteQueue): Promise<void> | undefined {
    const { loop, open } = this.#port
    if (this.#frames !== undefined) {
      this.#port.heard(0) // the session may have ended meanwhile
      if (!this.#readFrames(this.#frames)) return loop.turn(this)
    }
    return pipe(
      splitRecords(queue, this.#watch),
      openRecords(open),
      (plaintexts: Iterable<Uint8Array<ArrayBuffer>>) => {
        for (const plaintext of plaintexts) {
          this.#port.heard(plaintext.length)
          const { clock } = this.#port
          const frames = {
            record: new OpenedRecord(plaintext),
            cursor: new FrameCursor(plaintext),
            receivedAt: clock.now(),
          }
          this.#frames = frames
          if (loop.crowded(this) || !this.#readFrames(frames)) return loop.turn(this)
        }
        return undefined
      },
    )
  }

  /** The stream has ended in good order. */
  end(): void {
    const { peerId } = this.#port
    if (!this.#finished) throw new GlueberryError('CONNECT_FAILED', `a stream of ${peerId} broke off`, { peerId })
  }

  /** Leaves no timer. */
  close(): void {
    this.#watch.end()
  }

  /** Puts the messages of a record into the inbox. Returns false when the slice is over before they all are. */
  #readFrames({ record, cursor, receivedAt }: Frames): boolean {
    const { peerId, loop } = this.#port
    if (this.#finished) throw violation(peerId, 'bytes came after FIN')
    let messages = 0
    let bytes = 0
    let redelivered = 0
    let over = false
    while (!over && cursor.next()) {
      const { type, start, end } = cursor
      if (this.#finished) throw violation(peerId, 'a frame came after FIN')
      if (type === FrameType.OPEN) {
        if (this.#inbox !== undefined) throw violation(peerId, 'OPEN came twice')
        this.#inbox = this.#port.opened(cursor.open as Open)
        continue
      }
      const inbox = this.#inbox
      if (inbox === undefined) throw violation(peerId, 'a stream does not begin with OPEN')
      if (type === FrameType.FIN) this.#finished = true
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
    const whole = cursor.end === record.bytes.length
    if (whole) {
      this.#frames = undefined
      record.close()
    }
    if (this.#inbox !== undefined && messages > 0) this.#port.arrived(this.#inbox, messages, bytes, redelivered)
    return whole
  }
}

function violation(peerId: PeerId, what: string): GlueberryError {
  return new GlueberryError('PROTOCOL', `${peerId} broke the protocol: ${what}`, { peerId })
}
