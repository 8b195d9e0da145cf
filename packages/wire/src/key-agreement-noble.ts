import { x25519 } from '@noble/curves/ed25519.js'
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js'
import type { Encapsulated, KeyAgreement } from './key-agreement.ts'

/** Encapsulates with this randomness, 32 bytes. @throws when the key is malformed */
export function encapsulateWith(publicKey: Uint8Array, message: Uint8Array): Encapsulated {
  return ml_kem768.encapsulate(publicKey, message)
}

/** In plain JavaScript, for browsers. */
export const keyAgreement: KeyAgreement = {
  x25519(privateKey) {
    const secret = Uint8Array.from(privateKey)
    return {
      publicKey: x25519.getPublicKey(secret) as Uint8Array<ArrayBuffer>,
      sharedSecret: (publicKey) => x25519.getSharedSecret(secret, publicKey) as Uint8Array<ArrayBuffer>,
      destroy: () => void secret.fill(0),
    }
  },
  kem(seed) {
    const { publicKey, secretKey } = ml_kem768.keygen(seed)
    return {
      publicKey,
      decapsulate: (ciphertext) => ml_kem768.decapsulate(ciphertext, secretKey),
      destroy: () => void secretKey.fill(0),
    }
  },
  encapsulate: (publicKey) => ml_kem768.encapsulate(publicKey),
}
