import { createCipheriv, createDecipheriv, createSecretKey } from 'node:crypto'
import type { Aead, CipherName } from './aead.ts'

const OPTIONS = { authTagLength: 16 } as const // node's types tell the ciphers apart, which take the same
// Asked for by the types, read only for CCM.
const UNUSED = { plaintextLength: 0 }

/** Records of the largest size are sealed so often with each cipher to compare them: half a millisecond together. */
const ROUNDS = 4
const SAMPLE = 64 * 1024
let fast: boolean | undefined

/** Whether sealing is faster with AES-256-GCM here: processors with AES instructions need less than half the time. Measured once. */
export function aesIsFast(): boolean {
  fast ??= timeOf('aes-256-gcm') < timeOf('chacha20-poly1305')
  return fast
}

/** The shortest of some times that sealing a sample takes, in milliseconds. */
function timeOf(name: CipherName): number {
  const aead = createAead(new Uint8Array(32), name)
  const sample = new Uint8Array(SAMPLE)
  const nonce = new Uint8Array(12)
  let shortest = Number.POSITIVE_INFINITY
  for (let i = 0; i < ROUNDS; i++) {
    const begun = performance.now()
    aead.seal(nonce, nonce, [sample])
    shortest = Math.min(shortest, performance.now() - begun)
  }
  return shortest
}

/**
 * By `node:crypto`. The key is given as a KeyObject, made once:
 * raw bytes would be imported again at every call, which costs more than sealing 1 KiB.
 */
export function createAead(key: Uint8Array, name: CipherName): Aead {
  const secret = createSecretKey(key)
  return {
    seal(nonce, aad, plaintext) {
      const cipher = createCipheriv(name as 'aes-256-gcm', secret, nonce, OPTIONS)
      cipher.setAAD(aad, UNUSED)
      const sealed: Uint8Array[] = []
      for (const part of plaintext) sealed.push(cipher.update(part))
      cipher.final()
      sealed.push(cipher.getAuthTag())
      return sealed
    },
    open(nonce, aad, sealed) {
      const decipher = createDecipheriv(name as 'aes-256-gcm', secret, nonce, OPTIONS)
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
