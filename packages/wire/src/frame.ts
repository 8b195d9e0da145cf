import { asciiToBytes, bytesToAscii } from './ascii.ts'
import { fail } from './errors.ts'
import { RECORD_PLAINTEXT_MAX } from './record.ts'
import { isStreamName, STREAM_NAME_LENGTH_MAX } from './stream-name.ts'
import { readUvarint, uvarintLength, writeUvarint } from './uvarint.ts'

/** What a frame is, by its number on the wire. */
export const FrameType = {
  /** First frame of the first record, nowhere else. */
  OPEN: 1,
  /** A message, or the last part of one. */
  MESSAGE: 2,
  /** A message, or the last part of one, whose consumption the sender is waiting for. */
  CONFIRM: 3,
  /** A part of the next message; never empty. */
  FRAGMENT: 4,
  /** The last frame of a stream. */
  FIN: 5,
} as const

export type FrameType = (typeof FrameType)[keyof typeof FrameType]
/** The types that carry bytes of a message. */
export type PartType = typeof FrameType.MESSAGE | typeof FrameType.CONFIRM | typeof FrameType.FRAGMENT

/** A message costs its bytes and this, in credit; a fragment only its bytes. */
export const MESSAGE_OVERHEAD = 256

/** What the first frame of a data stream says. */
export interface Open {
  /** The stream's name. */
  readonly name: string
  /** Sequence of the first message on this stream, from 1. */
  readonly firstSequence: number
  /** Messages up to this sequence may have been delivered before. */
  readonly redeliveredThrough: number
}

/** The frame FIN. */
export const FIN_FRAME: Uint8Array = Uint8Array.of(FrameType.FIN)

/** The frame OPEN. */
export function encodeOpen({ name, firstSequence, redeliveredThrough }: Open): Uint8Array<ArrayBuffer> {
  if (!isStreamName(name)) fail('MALFORMED', 'OPEN needs a stream name of 1 to 64 characters of [A-Za-z0-9._-]')
  const bytes = new Uint8Array(2 + name.length + uvarintLength(firstSequence) + uvarintLength(redeliveredThrough))
  bytes[0] = FrameType.OPEN
  bytes[1] = name.length
  bytes.set(asciiToBytes(name), 2)
  writeUvarint(redeliveredThrough, bytes, writeUvarint(firstSequence, bytes, 2 + name.length))
  return bytes
}

/** What stands before the bytes of a message in its frame, at most: the type, and a length below `RECORD_PLAINTEXT_MAX`. */
export const FRAME_HEADER_MAX = 4

/** Bytes of a frame that carries `length` bytes of a message. */
export function partLength(length: number): number {
  return 1 + uvarintLength(length) + length
}

/** Frames that carry messages, gathered into the plaintext of one record. Grows as it is filled. */
export class FrameBuffer {
  #bytes: Uint8Array<ArrayBuffer>
  #length = 0

  /** @param capacity room to begin with, in bytes */
  constructor(capacity: number) {
    this.#bytes = new Uint8Array(Math.min(capacity, RECORD_PLAINTEXT_MAX))
  }

  /** Bytes gathered so far. */
  get length(): number {
    return this.#length
  }

  /** What was gathered; a view. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#length)
  }

  /** How many bytes of a message still fit, as one frame; negative when not even an empty one does. */
  get room(): number {
    const left = RECORD_PLAINTEXT_MAX - this.#length - 2
    if (left < 0x80) return left
    return left <= 0x4000 ? left - 1 : left - 2
  }

  /** Copies one frame in; `data.length` is at most `room`. */
  append(type: PartType, data: Uint8Array): void {
    const { length } = data
    const start = this.#length
    const end = start + partLength(length)
    if (end > this.#bytes.length) this.#grow(end)
    const bytes = this.#bytes
    bytes[start] = type
    if (length < 0x80) {
      bytes[start + 1] = length
      bytes.set(data, start + 2)
    } else {
      bytes.set(data, writeUvarint(length, bytes, start + 1))
    }
    this.#length = end
  }

  #grow(needed: number): void {
    if (needed > RECORD_PLAINTEXT_MAX) fail('TOO_LARGE', `a record holds ${RECORD_PLAINTEXT_MAX} bytes, not ${needed}`)
    const grown = new Uint8Array(Math.min(Math.max(needed, 4 * this.#bytes.length), RECORD_PLAINTEXT_MAX))
    grown.set(this.bytes)
    this.#bytes = grown
  }
}

/**
 * Walks over the frames of one record. After `next()` returned true, `type` tells what is there;
 * `start` and `end` enclose a part's bytes, and `open` is what OPEN says. No object is made for a message.
 */
export class FrameCursor {
  /** The record's plaintext. */
  readonly bytes: Uint8Array<ArrayBuffer>
  /** What the present frame is. */
  type: FrameType = FrameType.FIN
  /** Where a part's bytes begin. */
  start = 0
  /** Where the present frame ends: for a part, its bytes too. */
  end = 0
  /** What OPEN says, once it was passed. */
  open: Open | undefined

  constructor(plaintext: Uint8Array<ArrayBuffer>) {
    this.bytes = plaintext
  }

  /** Goes to the next frame; false at the end of the record. @throws WireError `MALFORMED`, `TOO_LARGE` */
  next(): boolean {
    const { bytes } = this
    const at = this.end
    if (at === bytes.length) return false
    const type = bytes[at] as number
    switch (type) {
      case FrameType.MESSAGE:
      case FrameType.CONFIRM:
      case FrameType.FRAGMENT: {
        const length = readUvarint(bytes, at + 1) ?? fail('MALFORMED', 'a frame ends within its length')
        const start = at + 1 + uvarintLength(length)
        if (length > bytes.length - start) fail('MALFORMED', `a frame of ${length} bytes runs over its record`)
        if (type === FrameType.FRAGMENT && length === 0) fail('MALFORMED', 'a FRAGMENT is empty')
        this.type = type
        this.start = start
        this.end = start + length
        return true
      }
      case FrameType.OPEN:
        this.type = type
        this.#readOpen(at + 1)
        return true
      case FrameType.FIN:
        this.type = type
        this.end = at + 1
        return true
      default:
        return fail('MALFORMED', `frames of type ${type} do not exist`)
    }
  }

  #readOpen(at: number): void {
    const nameLength = this.#uvarint(at)
    if (nameLength > STREAM_NAME_LENGTH_MAX) fail('TOO_LARGE', `OPEN has a name of ${nameLength} characters`)
    const nameStart = at + uvarintLength(nameLength)
    const nameEnd = nameStart + nameLength
    const name = bytesToAscii(this.bytes.subarray(nameStart, nameEnd))
    if (name.length !== nameLength || !isStreamName(name)) fail('MALFORMED', 'OPEN has no proper stream name')
    const firstSequence = this.#uvarint(nameEnd)
    if (firstSequence === 0) fail('MALFORMED', 'OPEN begins at sequence 0')
    const afterFirst = nameEnd + uvarintLength(firstSequence)
    const redeliveredThrough = this.#uvarint(afterFirst)
    this.end = afterFirst + uvarintLength(redeliveredThrough)
    this.open = { name, firstSequence, redeliveredThrough }
  }

  #uvarint(at: number): number {
    return readUvarint(this.bytes, at) ?? fail('MALFORMED', 'OPEN ends within a number')
  }
}
