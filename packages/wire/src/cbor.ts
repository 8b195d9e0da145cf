import { type DecodeOptions, decode, encode, type Token, Tokenizer, Type } from 'cborg'
import { fail, WireError } from './errors.ts'

/** Containers inside one another, at most. Our own messages need 3; a decoder that recurses must not be led deeper. */
const MAX_DEPTH = 8

const DECODE: DecodeOptions = {
  strict: true,
  allowIndefinite: false,
  allowUndefined: false,
  allowInfinity: false,
  allowNaN: false,
  allowBigInt: false,
  rejectDuplicateMapKeys: true,
  useMaps: true,
}

/** cborg's tokenizer, which refuses nesting before the decoder recurses into it. */
class ShallowTokenizer extends Tokenizer {
  /** Items still to come in each open container. */
  readonly #open: number[] = []

  override next(): Token {
    const token = super.next()
    while (this.#open.at(-1) === 0) this.#open.pop()
    const innermost = this.#open.length - 1
    if (innermost >= 0) this.#open[innermost] = (this.#open[innermost] as number) - 1
    if (Type.equals(token.type, Type.array)) this.#open.push(token.value)
    else if (Type.equals(token.type, Type.map)) this.#open.push(2 * token.value)
    else if (Type.equals(token.type, Type.tag)) fail('MALFORMED', 'CBOR tags are not used')
    if (this.#open.length > MAX_DEPTH) fail('MALFORMED', `CBOR is nested deeper than ${MAX_DEPTH}`)
    return token
  }
}

/** Canonical CBOR (RFC 8949, section 4.2): shortest forms, sorted keys, definite lengths. */
export function encodeCbor(value: unknown): Uint8Array<ArrayBuffer> {
  return encode(value) as Uint8Array<ArrayBuffer>
}

/**
 * Strict CBOR: shortest forms, definite lengths, no tags, no duplicate keys, finite numbers, integers within 2^53.
 * Maps come as `Map`.
 *
 * @throws WireError `MALFORMED`
 */
export function decodeCbor(bytes: Uint8Array): unknown {
  try {
    return decode(bytes, { ...DECODE, tokenizer: new ShallowTokenizer(bytes, DECODE) })
  } catch (cause) {
    if (cause instanceof WireError) throw cause
    return fail('MALFORMED', 'bytes are not strict CBOR', { cause })
  }
}

/** Reads typed fields out of a decoded value; every refusal names the field. Unknown fields are ignored. */
export class Fields {
  readonly #what: string
  readonly #map: Map<unknown, unknown>

  constructor(what: string, value: unknown) {
    this.#what = what
    this.#map = value instanceof Map ? value : fail('MALFORMED', `${what} is not a map`)
  }

  uint(name: string): number {
    return asUint(`${this.#what}.${name}`, this.#map.get(name))
  }

  flag(name: string): boolean {
    const value = this.#map.get(name)
    return typeof value === 'boolean' ? value : fail('MALFORMED', `${this.#what}.${name} is neither true nor false`)
  }

  bytes(name: string, length: number): Uint8Array<ArrayBuffer> {
    return asBytes(`${this.#what}.${name}`, this.#map.get(name), length)
  }

  text(name: string, maxLength: number): string {
    return asText(`${this.#what}.${name}`, this.#map.get(name), maxLength)
  }

  list<T>(name: string, maxLength: number, item: (what: string, value: unknown) => T): T[] {
    const what = `${this.#what}.${name}`
    const value = this.#map.get(name)
    if (!Array.isArray(value)) return fail('MALFORMED', `${what} is not a list`)
    if (value.length > maxLength) fail('TOO_LARGE', `${what} has more than ${maxLength} items`)
    return value.map((each) => item(what, each))
  }

  entries<T>(
    name: string,
    maxLength: number,
    item: (what: string, key: unknown, value: unknown) => [string, T],
  ): Map<string, T> {
    const what = `${this.#what}.${name}`
    const value = this.#map.get(name)
    if (!(value instanceof Map)) return fail('MALFORMED', `${what} is not a map`)
    if (value.size > maxLength) fail('TOO_LARGE', `${what} has more than ${maxLength} entries`)
    return new Map([...value].map(([key, each]) => item(what, key, each)))
  }

  has(name: string): boolean {
    return this.#map.has(name)
  }
}

export function asUint(what: string, value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    fail('MALFORMED', `${what} is not an unsigned integer`)
  }
  return value
}

export function asBytes(what: string, value: unknown, length: number): Uint8Array<ArrayBuffer> {
  if (!(value instanceof Uint8Array) || value.length !== length) fail('MALFORMED', `${what} is not ${length} bytes`)
  return Uint8Array.from(value)
}

export function asText(what: string, value: unknown, maxLength: number): string {
  if (typeof value !== 'string') fail('MALFORMED', `${what} is not a text`)
  if (value.length > maxLength) fail('TOO_LARGE', `${what} is longer than ${maxLength} characters`)
  return value
}
