import { createCipheriv, createDecipheriv, createSecretKey } from 'node:crypto'
import type { Aead } from './aead.ts'

const ALGORITHM = 'chacha20-poly1305'
const OPTIONS = { authTagLength: 16 } as const
// Asked for by the types, read only for CCM.
const UNUSED = { plaintextLength: 0 }

/**
 * ChaCha20-Poly1305 (RFC 8439) by `node:crypto`. The key is given as a KeyObject, made once:
 * raw bytes would be imported again at every call, which costs more than sealing 1 KiB.
 */
export function createAead(key: Uint8Array): Aead {
  const secret = createSecretKey(key)
  return {
    seal(nonce, aad, plaintext) {
      const cipher = createCipheriv(ALGORITHM, secret, nonce, OPTIONS)
      cipher.setAAD(aad, UNUSED)
      const sealed: Uint8Array[] = []
      for (const part of plaintext) sealed.push(cipher.update(part))
      cipher.final()
      sealed.push(cipher.getAuthTag())
      return sealed
    },
    open(nonce, aad, sealed) {
      const decipher = createDecipheriv(ALGORITHM, secret, nonce, OPTIONS)
      decipher.setAAD(aad, UNUSED)
      decipher.setAuthTag(sealed.subarray(-16))
      const opened = decipher.update(sealed.subarray(0, -16))
      try {
        decipher.final()
      } catch {
        return undefined
      }
      // Plain bytes, not a Buffer: `slice` of a Buffer shares memory where everyone expects a copy.
      return new Uint8Array(opened.buffer as ArrayBuffer, opened.byteOffset, opened.byteLength)
    },
  }
}
