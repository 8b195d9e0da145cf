import { ed25519, x25519 } from '@noble/curves/ed25519.js'
import { fail, WireError } from './errors.ts'

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
  #x25519: Uint8Array | undefined

  /**
   * @param seed 32 bytes of an Ed25519 private key (RFC 8032, section 5.1.5); copied
   * @throws WireError `INVALID_IDENTITY`
   */
  constructor(seed: Uint8Array) {
    checkLength(seed, 'an Ed25519 seed')
    this.#publicKey = ed25519.getPublicKey(seed) as Uint8Array<ArrayBuffer>
    this.#x25519 = ed25519.utils.toMontgomerySecret(seed)
  }

  /** The PeerId's bytes. */
  get peerId(): Uint8Array<ArrayBuffer> {
    return encodePeerId(this.#publicKey)
  }

  /** Diffie-Hellman of the X25519 form with another X25519 public key. */
  sharedSecret(x25519PublicKey: Uint8Array): Uint8Array {
    return diffieHellman(this.#x25519 ?? fail('DESTROYED', 'these identity keys were destroyed'), x25519PublicKey)
  }

  /** Zeroes the private key; `sharedSecret` throws afterwards. */
  destroy(): void {
    this.#x25519?.fill(0)
    this.#x25519 = undefined
  }
}

/**
 * X25519 (RFC 7748).
 *
 * @throws WireError `INVALID_IDENTITY` for a public key of low order, whose shared secret is all zero
 */
export function diffieHellman(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array<ArrayBuffer> {
  checkLength(privateKey, 'an X25519 private key')
  checkLength(publicKey, 'an X25519 public key')
  try {
    return x25519.getSharedSecret(privateKey, publicKey) as Uint8Array<ArrayBuffer>
  } catch (cause) {
    return fail('INVALID_IDENTITY', 'an X25519 public key is of low order', { cause })
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
