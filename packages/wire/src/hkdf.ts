import { hkdf } from '@noble/hashes/hkdf.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { utf8ToBytes } from '@noble/hashes/utils.js'

/** HKDF-SHA256 (RFC 5869): `length` bytes from `ikm`. An empty salt is the RFC's string of zeros. */
export function hkdfSha256(
  ikm: Uint8Array,
  salt: Uint8Array,
  info: string | Uint8Array,
  length: number,
): Uint8Array<ArrayBuffer> {
  const context = typeof info === 'string' ? utf8ToBytes(info) : info
  return hkdf(sha256, ikm, salt, context, length) as Uint8Array<ArrayBuffer>
}
