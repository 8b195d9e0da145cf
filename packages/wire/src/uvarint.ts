import { fail } from './errors.ts'

/** The largest value that is read or written: 2^53 − 1. */
export const UVARINT_MAX: number = Number.MAX_SAFE_INTEGER

/** The most bytes that one takes: ⌈53 / 7⌉. */
export const UVARINT_MAX_BYTES = 8

/** How many bytes `value` takes as unsigned LEB128 in shortest form, 1 to 8. */
export function uvarintLength(value: number): number {
  if (value < 0x80) return 1
  if (value < 0x4000) return 2
  if (value < 0x20_0000) return 3
  let length = 4
  for (let rest = Math.floor(value / 0x1000_0000); rest > 0; rest = Math.floor(rest / 0x80)) length++
  return length
}

/** Writes `value` at `offset`; returns the offset behind it. `out` must have the room. */
export function writeUvarint(value: number, out: Uint8Array, offset: number): number {
  if (!Number.isSafeInteger(value) || value < 0) {
    fail('MALFORMED', `a uvarint is an integer from 0 to 2^53 − 1, got ${value}`)
  }
  let rest = value
  let at = offset
  while (rest >= 0x80) {
    out[at++] = (rest % 0x80) | 0x80
    rest = rest < 0x8000_0000 ? rest >>> 7 : Math.floor(rest / 0x80)
  }
  out[at++] = rest
  return at
}

/**
 * Reads one uvarint at `offset`, or returns `undefined` where `bytes` end before it does.
 * Its length is `uvarintLength(result)`, because only the shortest form is accepted.
 *
 * @throws WireError `MALFORMED` when not in shortest form, `TOO_LARGE` above 2^53 − 1
 */
export function readUvarint(bytes: Uint8Array, offset: number): number | undefined {
  const first = bytes[offset]
  if (first === undefined || first < 0x80) return first
  let value = first & 0x7f
  let scale = 0x80
  for (let i = 1; i < UVARINT_MAX_BYTES; i++) {
    const byte = bytes[offset + i]
    if (byte === undefined) return undefined
    value += (byte & 0x7f) * scale
    if (byte < 0x80) {
      if (byte === 0) fail('MALFORMED', 'a uvarint is not in its shortest form')
      if (value > UVARINT_MAX) fail('TOO_LARGE', 'a uvarint is above 2^53 − 1')
      return value
    }
    scale *= 0x80
  }
  return fail('TOO_LARGE', 'a uvarint is above 2^53 − 1')
}
