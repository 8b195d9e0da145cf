import { type CipherName, KEY_LENGTH, TAG_LENGTH } from './aead.ts'
import type { ByteQueue } from './byte-queue.ts'
import { CounterCipher } from './cipher.ts'
import { fail } from './errors.ts'
import { hkdfSha256 } from './hkdf.ts'

/** A whole record: what fits one Noise frame (65,519) beside a yamux header (12). */
export const RECORD_MAX = 65_507
const LENGTH_BYTES = 2
/** The plaintext of one record, at most. */
export const RECORD_PLAINTEXT_MAX: number = RECORD_MAX - LENGTH_BYTES - TAG_LENGTH
const SEALED_MAX = RECORD_MAX - LENGTH_BYTES

/** Seals records, `u16 big-endian length || sealed` with the length as associated data, one after the other. */
export class RecordSealer {
  readonly #cipher: CounterCipher

  constructor(cipher: CounterCipher) {
    this.#cipher = cipher
  }

  /**
   * One record in pieces, its length first. `plaintext` is 1 to `RECORD_PLAINTEXT_MAX` bytes in all.
   *
   * @throws WireError `TOO_LARGE`, `NONCE_EXHAUSTED`, `DESTROYED`
   */
  seal(plaintext: readonly Uint8Array[]): Uint8Array[] {
    let length = TAG_LENGTH
    for (const part of plaintext) length += part.length
    if (length > SEALED_MAX || length === TAG_LENGTH) {
      fail('TOO_LARGE', `a record holds 1 to ${RECORD_PLAINTEXT_MAX} bytes, got ${length - TAG_LENGTH}`)
    }
    const header = Uint8Array.of(length >>> 8, length)
    const record = this.#cipher.seal(plaintext, header)
    record.unshift(header)
    return record
  }

  /** Forgets the key; every later use throws. */
  destroy(): void {
    this.#cipher.destroy()
  }
}

/** Opens records in the order in which they were sealed. */
export class RecordOpener {
  readonly #cipher: CounterCipher

  constructor(cipher: CounterCipher) {
    this.#cipher = cipher
  }

  /**
   * The plaintext of one whole record, as `takeRecord` gives it.
   *
   * @throws WireError `AUTHENTICATION`, `NONCE_EXHAUSTED`, `DESTROYED`
   */
  open(record: Uint8Array): Uint8Array<ArrayBuffer> {
    return this.#cipher.open(record.subarray(LENGTH_BYTES), record.subarray(0, LENGTH_BYTES))
  }

  /** Forgets the key; every later use throws. */
  destroy(): void {
    this.#cipher.destroy()
  }
}

/**
 * The next whole record that has arrived, with its length, or `undefined` when more bytes are needed.
 *
 * @param plaintextMax the longest plaintext that is allowed now, in bytes
 * @throws WireError `TOO_LARGE`, `MALFORMED` as soon as the length is known
 */
export function takeRecord(queue: ByteQueue, plaintextMax: number = RECORD_PLAINTEXT_MAX): Uint8Array | undefined {
  if (queue.length < LENGTH_BYTES) return undefined
  const header = queue.peek(LENGTH_BYTES)
  const length = ((header[0] as number) << 8) | (header[1] as number)
  const longest = Math.min(plaintextMax, RECORD_PLAINTEXT_MAX) + TAG_LENGTH
  if (length > longest) fail('TOO_LARGE', `a record of ${length} bytes is above ${longest}`)
  if (length <= TAG_LENGTH) fail('MALFORMED', `a record of ${length} bytes holds nothing`)
  return queue.length < LENGTH_BYTES + length ? undefined : queue.take(LENGTH_BYTES + length)
}

const EMPTY = new Uint8Array(0)

/** What the keys of a cipher are derived with: a key is never used with two ciphers. */
function label(use: 'control' | 'data', name: CipherName): string {
  return name === 'chacha20-poly1305' ? `glueberry/2 ${use}` : `glueberry/3 ${use} ${name}`
}

/** The cipher of one direction of the control stream. */
export function controlCipher(root: Uint8Array, name: CipherName): CounterCipher {
  return new CounterCipher(hkdfSha256(root, EMPTY, label('control', name), KEY_LENGTH), 0, name)
}

/** The cipher of one data stream, by its number in its direction. */
export function dataCipher(root: Uint8Array, number: number, name: CipherName): CounterCipher {
  const salt = new Uint8Array(8)
  new DataView(salt.buffer).setBigUint64(0, BigInt(number))
  return new CounterCipher(hkdfSha256(root, salt, label('data', name), KEY_LENGTH), 0, name)
}
