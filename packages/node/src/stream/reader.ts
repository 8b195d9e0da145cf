import { type ByteQueue, FrameCursor, FrameType, type Open } from '@glueberry/wire'
import { pipe } from 'it-pipe'
import type { Clock } from '../clock.ts'
import { GlueberryError, protocolViolation } from '../errors.ts'
import type { LoopShare } from '../limits/loop-share.ts'
import type { PeerId } from '../peer-id.ts'
import type { SessionPort } from '../session-port.ts'
import { openRecords, RecordWatch, splitRecords } from '../transport/records.ts'
import type { ByteStream } from '../transport/transport.ts'
import type { Inbox } from './inbox.ts'
import { OpenedRecord } from './opened-record.ts'

/** Where the messages of a data stream go. */
interface MessageSink {
  /** The inbox of the name that the stream says it is for; throws when that cannot be. */
  open(open: Open): Inbox
  /** So many messages of a record, of so many bytes, have been put into the inbox. */
  arrived(inbox: Inbox, messages: number, bytes: number, redelivered: number): void
}

export interface ReaderOptions {
  readonly peerId: PeerId
  readonly clock: Clock
  /** How long a record that is not whole may go without another piece, in milliseconds. */
  readonly timeout: number
  readonly loop: LoopShare
  readonly stream: ByteStream
  /** What its header says. */
  readonly number: number
  readonly session: SessionPort
  readonly sink: MessageSink
  /** OPEN has come. */
  begun(): void
}

/** The plaintext of the first record, which is OPEN alone: its type, a name of 64 characters, and two numbers. */
const OPEN_MAX = 128

/** Reads one data stream, behind its header, to its FIN. Everything else that ends it ends the session. Never rejects. */
export async function readDataStream(options: ReaderOptions): Promise<void> {
  const { stream, session } = options
  let reader: DataReader | undefined
  try {
    const parser = new DataReader(options)
    reader = parser
    await stream.received.consume((queue) => parser.read(queue))
    parser.end()
    await stream.closeWrite()
  } catch (error) {
    session.fail(error)
    stream.abort(error as Error)
  } finally {
    reader?.close()
  }
}

/** A record in the midst of its frames. */
interface Frames {
  readonly record: OpenedRecord
  readonly cursor: FrameCursor
  readonly receivedAt: number
}

/** So many messages are brought before those that take them have run. */
const UNSEEN_MAX = 256

/** The parser of one data stream. */
class DataReader {
  readonly #options: ReaderOptions
  readonly #open: (records: Iterable<Uint8Array>) => Iterable<Uint8Array<ArrayBuffer>>
  readonly #watch: RecordWatch
  #inbox: Inbox | undefined
  #finished = false
  #unseen = 0 // messages that it has brought since those that take them could last run
  #frames: Frames | undefined // of a record that its slice of the event loop did not suffice for

  constructor(options: ReaderOptions) {
    const { peerId, clock, timeout, session, stream, number } = options
    this.#options = options
    this.#open = openRecords(stream.received, session.opener(number))
    this.#watch = new RecordWatch({
      clock,
      timeout,
      quietFor: () => session.quietFor,
      longest: () => this.#inbox?.longestRecord ?? OPEN_MAX,
      partial: (bytes) => {
        if (!session.ended) this.#inbox?.partial(bytes)
      },
      late: () => {
        const text = `a record of ${peerId} took longer than ${timeout} ms`
        const error = new GlueberryError('CONNECT_TIMEOUT', text, { peerId })
        session.fail(error)
        stream.abort(error)
      },
    })
  }

  /** Reads the whole records in the queue. Returns a promise when the event loop is to be handed back until it resolves. */
  read(queue: ByteQueue): Promise<void> | undefined {
    const { loop, session } = this.#options
    if (this.#frames !== undefined) {
      session.heard(0) // it may have ended meanwhile
      if (!this.#readFrames(this.#frames)) return loop.turn(this)
    }
    return pipe(splitRecords(queue, this.#watch), this.#open, this.#deliver)
  }

  readonly #deliver = (plaintexts: Iterable<Uint8Array<ArrayBuffer>>): Promise<void> | undefined => {
    const { clock, loop, session } = this.#options
    for (const plaintext of plaintexts) {
      session.heard(plaintext.length)
      const record = new OpenedRecord(plaintext)
      const frames = { record, cursor: new FrameCursor(plaintext), receivedAt: clock.now() }
      this.#frames = frames
      if (loop.crowded(this) || !this.#readFrames(frames)) return loop.turn(this)
      if (this.#unseen >= UNSEEN_MAX) {
        this.#unseen = 0
        return loop.pause()
      }
    }
    return undefined
  }

  /** The stream has ended in good order. */
  end(): void {
    const { peerId } = this.#options
    if (!this.#finished) throw new GlueberryError('CONNECT_FAILED', `a stream of ${peerId} broke off`, { peerId })
  }

  /** Leaves no timer. */
  close(): void {
    this.#watch.end()
  }

  /** Puts the messages of a record into the inbox. Returns false when the slice is over before they all are. */
  #readFrames({ record, cursor, receivedAt }: Frames): boolean {
    const { peerId, loop, sink, begun } = this.#options
    if (this.#finished) throw protocolViolation(peerId, 'bytes came after FIN')
    let messages = 0
    let bytes = 0
    let redelivered = 0
    let over = false
    try {
      while (!over && cursor.next()) {
        const { type, start, end } = cursor
        if (this.#finished) throw protocolViolation(peerId, 'a frame came after FIN')
        if (type === FrameType.OPEN) {
          if (this.#inbox !== undefined) throw protocolViolation(peerId, 'OPEN came twice')
          begun()
          this.#inbox = sink.open(cursor.open as Open)
          continue
        }
        const inbox = this.#inbox
        if (inbox === undefined) throw protocolViolation(peerId, 'a stream does not begin with OPEN')
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
    } finally {
      // What came before a frame that breaks the protocol is in the inbox: it is consumed like any other message.
      if (cursor.end === record.bytes.length) {
        this.#frames = undefined
        record.close()
      }
      this.#unseen += messages
      if (this.#inbox !== undefined && messages > 0) sink.arrived(this.#inbox, messages, bytes, redelivered)
    }
    return this.#frames === undefined
  }
}
