import { chacha20poly1305 } from '@noble/ciphers/chacha.js'
import { concatBytes } from '@noble/ciphers/utils.js'
import type { Aead } from './aead.ts'

/** ChaCha20-Poly1305 (RFC 8439) in plain JavaScript, for browsers; the same bytes as `aead-node.ts`. */
export function createAead(key: Uint8Array): Aead {
  const secret = new Uint8Array(key)
  return {
    seal(nonce, aad, plaintext) {
      return [chacha20poly1305(secret, nonce, aad).encrypt(concatBytes(...plaintext))]
    },
    open(nonce, aad, sealed) {
      try {
        return chacha20poly1305(secret, nonce, aad).decrypt(sealed) as Uint8Array<ArrayBuffer>
      } catch {
        return undefined
      }
    },
  }
}
