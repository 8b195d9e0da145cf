import { gcm } from '@noble/ciphers/aes.js'
import { chacha20poly1305 } from '@noble/ciphers/chacha.js'
import { concatBytes } from '@noble/ciphers/utils.js'
import type { Aead, CipherName } from './aead.ts'

/** In plain JavaScript AES is slow, and its tables leak by the time that they take. */
export function aesIsFast(): boolean {
  return false
}

/** In plain JavaScript, for browsers; the same bytes as `aead-node.ts`. */
export function createAead(key: Uint8Array, name: CipherName): Aead {
  const cipher = name === 'aes-256-gcm' ? gcm : chacha20poly1305
  const secret = new Uint8Array(key)
  return {
    seal(nonce, aad, plaintext) {
      return [cipher(secret, nonce, aad).encrypt(concatBytes(...plaintext))]
    },
    open(nonce, aad, sealed) {
      try {
        return cipher(secret, nonce, aad).decrypt(sealed) as Uint8Array<ArrayBuffer>
      } catch {
        return undefined
      }
    },
  }
}
