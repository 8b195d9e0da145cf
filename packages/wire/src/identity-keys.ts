import { ed25519 } from '@noble/curves/ed25519.js'
import { keyAgreement } from '#key-agreement'
import { fail, WireError } from './errors.ts'
import type { X25519Key } from './key-agreement.ts'

/** Bytes of an Ed25519 seed, an Ed25519 public key and an X25519 key alike. */
export const IDENTITY_KEY_LENGTH = 32

/** What comes before the public key in a PeerId: identity multihash (0x00, 36 bytes) of the protobuf `Ed25519, 32 bytes`. */
const PEER_ID_PREFIX = Uint8Array.of(0x00, 0x24, 0x08, 0x01, 0x12, 0x20)

/** Bytes of a PeerId with its Ed25519 public key inline. */
export const PEER_ID_LENGTH: number = PEER_ID_PREFIX.length + IDENTITY_KEY_LENGTH

/** A node's long-term keys: the Ed25519 seed and the X25519 form that Noise KK uses. */
export class IdentityKeys {
  /** Ed25519 public key, 32 bytes; a copy at every read. */
  get publicKey(): Uint8Array<ArrayBuffer> {
    return this.#publicKey.slice()
  }

  readonly #publicKey: Uint8Array<ArrayBuffer>
  #x25519: DhKey | undefined

  /**
   * @param seed 32 bytes of an Ed25519 private key (RFC 8032, section 5.1.5); copied
   * @throws WireError `INVALID_IDENTITY`
   */
  constructor(seed: Uint8Array) {
    checkLength(seed, 'an Ed25519 seed')
    this.#publicKey = ed25519.getPublicKey(seed) as Uint8Array<ArrayBuffer>
    const secret = ed25519.utils.toMontgomerySecret(seed)
    this.#x25519 = new DhKey(secret)
    secret.fill(0)
  }

  /** The PeerId's bytes. */
  get peerId(): Uint8Array<ArrayBuffer> {
    return encodePeerId(this.#publicKey)
  }

  /** The X25519 form of the public key. */
  get x25519PublicKey(): Uint8Array<ArrayBuffer> {
    return this.#own.publicKey
  }

  /** Diffie-Hellman of the X25519 form with another X25519 public key. */
  sharedSecret(x25519PublicKey: Uint8Array): Uint8Array<ArrayBuffer> {
    return this.#own.sharedSecret(x25519PublicKey)
  }

  /** Gives the private key up; `sharedSecret` throws afterwards. */
  destroy(): void {
    this.#x25519?.destroy()
    this.#x25519 = undefined
  }

  get #own(): DhKey {
    return this.#x25519 ?? fail('DESTROYED', 'these identity keys were destroyed')
  }
}

/** An X25519 key pair (RFC 7748) that checks what it is given. */
export class DhKey {
  readonly publicKey: Uint8Array<ArrayBuffer>
  readonly #key: X25519Key

  /** @param privateKey copied */
  constructor(privateKey: Uint8Array) {
    checkLength(privateKey, 'an X25519 private key')
    this.#key = keyAgreement.x25519(privateKey)
    this.publicKey = this.#key.publicKey
  }

  /** @throws WireError `INVALID_IDENTITY` for a public key of low order, whose shared secret is all zero */
  sharedSecret(publicKey: Uint8Array): Uint8Array<ArrayBuffer> {
    checkLength(publicKey, 'an X25519 public key')
    try {
      return this.#key.sharedSecret(publicKey)
    } catch (cause) {
      return fail('INVALID_IDENTITY', 'an X25519 public key is of low order', { cause })
    }
  }

  /** Gives the private key up. */
  destroy(): void {
    this.#key.destroy()
  }
}

/**
 * The X25519 form of an Ed25519 public key, u = (1 + y) / (1 − y) (RFC 7748, section 4.1).
 * A key and its negation have the same one: a protocol that relies on it must bind the PeerId too.
 *
 * @throws WireError `INVALID_IDENTITY`: not 32 bytes, not on the curve, or of low order (y = 1 is one of these)
 */
export function toX25519(publicKey: Uint8Array): Uint8Array<ArrayBuffer> {
  checkLength(publicKey, 'an Ed25519 public key')
  let smallOrder: boolean
  try {
    smallOrder = ed25519.Point.fromBytes(publicKey).isSmallOrder()
  } catch (cause) {
    return fail('INVALID_IDENTITY', 'an Ed25519 public key is not a point of the curve', { cause })
  }
  if (smallOrder) fail('INVALID_IDENTITY', 'an Ed25519 public key is of low order')
  return ed25519.utils.toMontgomery(publicKey) as Uint8Array<ArrayBuffer>
}

/** The PeerId's bytes for an Ed25519 public key. */
export function encodePeerId(publicKey: Uint8Array): Uint8Array<ArrayBuffer> {
  checkLength(publicKey, 'an Ed25519 public key')
  const id = new Uint8Array(PEER_ID_LENGTH)
  id.set(PEER_ID_PREFIX)
  id.set(publicKey, PEER_ID_PREFIX.length)
  return id
}

/**
 * The Ed25519 public key that a PeerId carries.
 *
 * @throws WireError `INVALID_IDENTITY` when it carries none (RSA and secp256k1 ids are hashes or of another type)
 */
export function publicKeyOfPeerId(peerId: Uint8Array): Uint8Array<ArrayBuffer> {
  if (peerId.length !== PEER_ID_LENGTH || PEER_ID_PREFIX.some((byte, i) => peerId[i] !== byte)) {
    fail('INVALID_IDENTITY', 'a PeerId must be that of an Ed25519 key')
  }
  return Uint8Array.from(peerId.subarray(PEER_ID_PREFIX.length))
}

function checkLength(bytes: Uint8Array, what: string): void {
  if (bytes.length !== IDENTITY_KEY_LENGTH) {
    throw new WireError('INVALID_IDENTITY', `${what} has ${IDENTITY_KEY_LENGTH} bytes, got ${bytes.length}`)
  }
}
