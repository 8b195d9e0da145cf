import * as crypto from 'node:crypto'
import { hexToBytes } from '@noble/hashes/utils.js'
import { concat } from './bytes.ts'
import type { KeyAgreement } from './key-agreement.ts'
import { keyAgreement as noble } from './key-agreement-noble.ts'

const { createPrivateKey, createPublicKey, diffieHellman } = crypto

// What comes before the bytes of a key in DER: RFC 8410 for X25519, RFC 9935 for ML-KEM (the private key as its seed).
const X25519_PRIVATE = hexToBytes('302e020100300506032b656e04220420')
const X25519_PUBLIC = hexToBytes('302a300506032b656e032100')
const KEM_PRIVATE = hexToBytes('3054020100300b060960864801650304040204428040')
const KEM_PUBLIC = hexToBytes('308204b2300b0609608648016503040402038204a100')

function privateKeyOf(prefix: Uint8Array, key: Uint8Array): crypto.KeyObject {
  const der = concat(prefix, key)
  const object = createPrivateKey({ key: der as Buffer, format: 'der', type: 'pkcs8' })
  der.fill(0)
  return object
}

function publicKeyOf(prefix: Uint8Array, key: Uint8Array, length: number): crypto.KeyObject {
  if (key.length !== length) throw new RangeError(`a public key has ${length} bytes, got ${key.length}`)
  return createPublicKey({ key: concat(prefix, key) as Buffer, format: 'der', type: 'spki' })
}

function bytesOf(privateKey: crypto.KeyObject, prefix: Uint8Array): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).subarray(prefix.length))
}

const gone = (): never => {
  throw new Error('this key was destroyed')
}

/** By `node:crypto`, which takes 40 µs for an agreement of X25519 where JavaScript takes 2 ms. */
const node: KeyAgreement = {
  x25519(key) {
    let privateKey: crypto.KeyObject | undefined = privateKeyOf(X25519_PRIVATE, key)
    return {
      publicKey: bytesOf(privateKey, X25519_PUBLIC),
      sharedSecret: (publicKey) =>
        Uint8Array.from(
          diffieHellman({ privateKey: privateKey ?? gone(), publicKey: publicKeyOf(X25519_PUBLIC, publicKey, 32) }),
        ),
      destroy: () => {
        privateKey = undefined
      },
    }
  },
  kem(seed) {
    let privateKey: crypto.KeyObject | undefined = privateKeyOf(KEM_PRIVATE, seed)
    return {
      publicKey: bytesOf(privateKey, KEM_PUBLIC),
      decapsulate: (ciphertext) => Uint8Array.from(crypto.decapsulate(privateKey ?? gone(), ciphertext)),
      destroy: () => {
        privateKey = undefined
      },
    }
  },
  encapsulate(publicKey) {
    const { ciphertext, sharedKey } = crypto.encapsulate(publicKeyOf(KEM_PUBLIC, publicKey, 1184))
    return { cipherText: Uint8Array.from(ciphertext), sharedSecret: Uint8Array.from(sharedKey) }
  },
}

/** Node has ML-KEM from 24.7 on; before that, some versions read its keys and cannot use them. */
function hasKem(): boolean {
  try {
    node.kem(new Uint8Array(64))
    return typeof crypto.encapsulate === 'function' && typeof crypto.decapsulate === 'function'
  } catch {
    return false
  }
}

const { kem, encapsulate } = hasKem() ? node : noble
export const keyAgreement: KeyAgreement = { x25519: node.x25519, kem, encapsulate }
