import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto'
import { defaultCrypto } from '@chainsafe/libp2p-noise/crypto'
import { Uint8ArrayList } from 'uint8arraylist'
import { freeRead, freeWhole } from '../../memory.ts'
import type { Changes } from './changes.ts'

// libp2p's Noise gives node:crypto the raw key at every frame, which imports it anew each time: 12 µs a frame.
// Here each key becomes a KeyObject once, and nothing is copied that need not be. Short frames stay with libp2p-noise's
// own choice, WASM.

type Encrypt = typeof defaultCrypto.chaCha20Poly1305Encrypt
type Decrypt = typeof defaultCrypto.chaCha20Poly1305Decrypt

const ALGORITHM = 'chacha20-poly1305'
const OPTIONS = { authTagLength: 16 } as const
const TAG_LENGTH = 16
/** Below it, WASM is the faster one (libp2p-noise's own threshold). */
const SHORT = 1200
/** A frame holds no more. */
const NOISE_FRAME_MAX = 65_535

const keys = new WeakMap<Uint8Array, KeyObject>()

function keyObject(key: Uint8Array): KeyObject {
  let object = keys.get(key)
  if (object === undefined) {
    object = createSecretKey(key)
    keys.set(key, object)
  }
  return object
}

/** What is to be sealed lies here for the length of one call: one call of the cipher, and one write to the socket, instead of several. */
const scratch = new Uint8Array(NOISE_FRAME_MAX)

function joined(list: Iterable<Uint8Array>): Uint8Array {
  let length = 0
  for (const part of list) {
    scratch.set(part, length)
    length += part.length
  }
  return scratch.subarray(0, length)
}

const encrypt: Encrypt = (plaintext, nonce, ad, key) => {
  if (plaintext.byteLength < SHORT) return defaultCrypto.chaCha20Poly1305Encrypt(plaintext, nonce, ad, key)
  const cipher = createCipheriv(ALGORITHM, keyObject(key), nonce, OPTIONS)
  cipher.setAAD(ad, { plaintextLength: plaintext.byteLength })
  const sealed = new Uint8ArrayList()
  sealed.append(cipher.update(plaintext instanceof Uint8Array ? plaintext : joined(plaintext)))
  cipher.final()
  sealed.append(cipher.getAuthTag())
  return sealed as unknown as ReturnType<Encrypt> // uint8arraylist 3 here, 2 in its types
}

/** Whether `copy` has the bytes of the beginning of `source`, by its first and last ones. */
function isCopyOf(copy: Uint8Array, source: { readonly byteLength: number } & Parameters<Decrypt>[0]): boolean {
  const last = copy.length - 1
  const at = (i: number): number | undefined => (source instanceof Uint8Array ? source[i] : source.get(i))
  return copy[0] === at(0) && copy[1] === at(1) && copy[last - 1] === at(last - 1) && copy[last] === at(last)
}

const decrypt =
  (changes: Changes): Decrypt =>
  (ciphertext, nonce, ad, key, target) => {
    // Without the target, so that the plaintext does not lie in what the socket read, whose memory is given back below.
    if (ciphertext.byteLength < SHORT) return defaultCrypto.chaCha20Poly1305Decrypt(ciphertext, nonce, ad, key)
    const end = ciphertext.byteLength - TAG_LENGTH
    const decipher = createDecipheriv(ALGORITHM, keyObject(key), nonce, OPTIONS)
    decipher.setAAD(ad, { plaintextLength: end })
    decipher.setAuthTag(ciphertext.subarray(end))
    // libp2p-noise gives as `target`, for the plaintext, a copy of the ciphertext in one piece: that is read instead of
    // making another one. During its handshake it gives none, and still needs what it has read.
    const copy = target !== undefined && target.length === end && isCopyOf(target, ciphertext) ? target : undefined
    if (target !== undefined && copy === undefined) changes.miss('noise buffers')
    const opened = decipher.update(copy ?? ciphertext.subarray(0, end))
    decipher.final() // throws when the tag does not verify
    if (copy === undefined) return opened
    freeWhole(copy)
    // Where what the socket read ends with this frame: what came before in it has been opened before.
    for (const chunk of ciphertext instanceof Uint8Array ? [ciphertext] : ciphertext) freeRead(chunk)
    return opened
  }

/** libp2p-noise's cryptography, with keys imported once. */
export function noiseCrypto(changes: Changes): typeof defaultCrypto {
  return { ...defaultCrypto, chaCha20Poly1305Encrypt: encrypt, chaCha20Poly1305Decrypt: decrypt(changes) }
}
