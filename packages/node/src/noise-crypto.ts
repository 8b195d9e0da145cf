import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto'
import { defaultCrypto } from '@chainsafe/libp2p-noise/crypto'
import { Uint8ArrayList } from 'uint8arraylist'

// libp2p's Noise gives node:crypto the raw key at every frame, which imports it anew each time: 12 µs a frame.
// Here each key becomes a KeyObject once. Short frames stay with libp2p-noise's own choice, WASM.

type Encrypt = typeof defaultCrypto.chaCha20Poly1305Encrypt
type Decrypt = typeof defaultCrypto.chaCha20Poly1305Decrypt

const ALGORITHM = 'chacha20-poly1305'
const OPTIONS = { authTagLength: 16 } as const
const TAG_LENGTH = 16
/** Below it, WASM is the faster one (libp2p-noise's own threshold). */
const SHORT = 1200

const keys = new WeakMap<Uint8Array, KeyObject>()

function keyObject(key: Uint8Array): KeyObject {
  let object = keys.get(key)
  if (object === undefined) {
    object = createSecretKey(key)
    keys.set(key, object)
  }
  return object
}

const encrypt: Encrypt = (plaintext, nonce, ad, key) => {
  if (plaintext.byteLength < SHORT) return defaultCrypto.chaCha20Poly1305Encrypt(plaintext, nonce, ad, key)
  const cipher = createCipheriv(ALGORITHM, keyObject(key), nonce, OPTIONS)
  cipher.setAAD(ad, { plaintextLength: plaintext.byteLength })
  const sealed = new Uint8ArrayList()
  if (plaintext instanceof Uint8Array) sealed.append(cipher.update(plaintext))
  else for (const part of plaintext) sealed.append(cipher.update(part))
  cipher.final()
  sealed.append(cipher.getAuthTag())
  return sealed as unknown as ReturnType<Encrypt> // uint8arraylist 3 here, 2 in its types
}

const decrypt: Decrypt = (ciphertext, nonce, ad, key, target) => {
  if (ciphertext.byteLength < SHORT) return defaultCrypto.chaCha20Poly1305Decrypt(ciphertext, nonce, ad, key, target)
  const end = ciphertext.byteLength - TAG_LENGTH
  const decipher = createDecipheriv(ALGORITHM, keyObject(key), nonce, OPTIONS)
  decipher.setAAD(ad, { plaintextLength: end })
  decipher.setAuthTag(ciphertext.subarray(end))
  const opened = decipher.update(ciphertext.subarray(0, end))
  decipher.final() // throws when the tag does not verify
  return opened
}

/** libp2p-noise's cryptography, with keys imported once. */
export const noiseCrypto: typeof defaultCrypto = {
  ...defaultCrypto,
  chaCha20Poly1305Encrypt: encrypt,
  chaCha20Poly1305Decrypt: decrypt,
}
