import type { ByteQueue } from './byte-queue.ts'
import { concat } from './bytes.ts'
import { fail } from './errors.ts'
import { HANDSHAKE_MESSAGE_MAX } from './handshake.ts'
import { readUvarint, UVARINT_MAX_BYTES, uvarintLength, writeUvarint } from './uvarint.ts'

// What comes in clear before the records: a Noise message on a control stream, a header on a data stream.

/** How many bytes of the session id a data stream names. */
const SESSION_TAG_LENGTH = 8

/** In clear, the first bytes of a data stream. */
export interface DataHeader {
  /** The first 8 bytes of the session's id. */
  readonly session: Uint8Array
  /** Of this stream, unique within a session and direction. */
  readonly number: number
}

/** `uvarint length || message`. */
export function frameHandshakeMessage(message: Uint8Array): Uint8Array<ArrayBuffer> {
  if (message.length > HANDSHAKE_MESSAGE_MAX) {
    fail('TOO_LARGE', `a handshake message of ${message.length} bytes is above ${HANDSHAKE_MESSAGE_MAX}`)
  }
  return concat(encodeUvarint(message.length), message)
}

/**
 * The next handshake message, or `undefined` when more bytes are needed.
 *
 * @throws WireError `TOO_LARGE`, `MALFORMED` as soon as the length is known
 */
export function takeHandshakeMessage(queue: ByteQueue): Uint8Array | undefined {
  const length = readUvarint(queue.peek(UVARINT_MAX_BYTES), 0)
  if (length === undefined) return undefined
  if (length > HANDSHAKE_MESSAGE_MAX) {
    fail('TOO_LARGE', `a handshake message of ${length} bytes is above ${HANDSHAKE_MESSAGE_MAX}`)
  }
  const prefix = uvarintLength(length)
  if (queue.length < prefix + length) return undefined
  queue.skip(prefix)
  return queue.take(length)
}

/** `first 8 bytes of the session id || uvarint number`. */
export function encodeDataHeader(sessionId: Uint8Array, number: number): Uint8Array<ArrayBuffer> {
  return concat(sessionId.subarray(0, SESSION_TAG_LENGTH), encodeUvarint(number))
}

/** The header of a data stream, or `undefined` when more bytes are needed. @throws WireError `TOO_LARGE`, `MALFORMED` */
export function takeDataHeader(queue: ByteQueue): DataHeader | undefined {
  if (queue.length <= SESSION_TAG_LENGTH) return undefined
  const start = queue.peek(SESSION_TAG_LENGTH + UVARINT_MAX_BYTES)
  const number = readUvarint(start, SESSION_TAG_LENGTH)
  if (number === undefined) return undefined
  queue.skip(SESSION_TAG_LENGTH + uvarintLength(number))
  return { session: Uint8Array.from(start.subarray(0, SESSION_TAG_LENGTH)), number }
}

function encodeUvarint(value: number): Uint8Array {
  const bytes = new Uint8Array(uvarintLength(value))
  writeUvarint(value, bytes, 0)
  return bytes
}
