import { asText } from './cbor.ts'
import { fail } from './errors.ts'

/** The most names that a node accepts. */
export const STREAM_NAMES_MAX = 64
/** The most characters of a name, each one byte. */
export const STREAM_NAME_LENGTH_MAX = 64

const STREAM_NAME = /^[A-Za-z0-9._-]{1,64}$/

/** Whether `name` is one of 1 to 64 characters of `[A-Za-z0-9._-]`. */
export function isStreamName(name: string): boolean {
  return STREAM_NAME.test(name)
}

/** @throws WireError `MALFORMED`, `TOO_LARGE` */
export function asStreamName(what: string, value: unknown): string {
  const name = asText(what, value, STREAM_NAME_LENGTH_MAX)
  if (!isStreamName(name)) fail('MALFORMED', `${what} has a name outside [A-Za-z0-9._-]`)
  return name
}
