import { utf8ToBytes } from '@noble/hashes/utils.js'
import { aesIsFast } from '#aead'
import { keyAgreement } from '#key-agreement'
import type { CipherName } from './aead.ts'
import { concat } from './bytes.ts'
import { decodeCbor, encodeCbor, Fields } from './cbor.ts'
import { fail } from './errors.ts'
import { hkdfSha256 } from './hkdf.ts'
import { DhKey, encodePeerId, type IdentityKeys, toX25519 } from './identity-keys.ts'
import type { Encapsulated, KemKey } from './key-agreement.ts'
import { encapsulateWith } from './key-agreement-noble.ts'
import { NoiseKk } from './noise-kk.ts'
import { decodeRefusal, encodeRefusal, type Refusal } from './refusal.ts'

/** The version of the wire that this package speaks. */
export const PROTOCOL_VERSION = 3
/** A network name, in characters. */
export const NETWORK_NAME_MAX = 64
/** A handshake message, in bytes. */
export const HANDSHAKE_MESSAGE_MAX = 8192
/** A session id, in bytes. */
export const SESSION_ID_LENGTH = 32

const KEM_PUBLIC_KEY_LENGTH = 1184
const KEM_CIPHERTEXT_LENGTH = 1088
const KEM_SEED_LENGTH = 64
const KEM_MESSAGE_LENGTH = 32

/** What two nodes share after the handshake. The owner of a root zeroes it. */
export interface SessionSecrets {
  /** The handshake hash, the same at both ends. */
  readonly id: Uint8Array<ArrayBuffer>
  /** 32 bytes: what this side's keys are derived from. */
  readonly sendRoot: Uint8Array<ArrayBuffer>
  /** 32 bytes: the same for the other direction. */
  readonly receiveRoot: Uint8Array<ArrayBuffer>
  /** What its records are sealed with. */
  readonly cipher: CipherName
}

/** What the initiator says of itself in message 1. It can be replayed: nothing in it may touch state that outlives the attempt. */
export interface Hello {
  readonly version: number
  readonly network: string
  /** Whether AES-256-GCM is faster for it; false for another version. */
  readonly aes: boolean
}

/** What either side of a handshake needs. */
export interface HandshakeOptions {
  /** Own long-term keys. */
  readonly identity: IdentityKeys
  /** The remote's Ed25519 public key, as libp2p has proven it. */
  readonly remotePublicKey: Uint8Array
  /** On a key renewal, the id of the session that is renewed. */
  readonly previousSessionId?: Uint8Array
  /** Whether AES-256-GCM is to be used where the remote wants it too; measured when absent. */
  readonly aes?: boolean | undefined
  /** Random bytes, which are zeroed after use; the platform's own unless a test repeats a handshake. */
  readonly random?: (length: number) => Uint8Array
}

const platformRandom = (length: number): Uint8Array => globalThis.crypto.getRandomValues(new Uint8Array(length))

/** The side that dialed the libp2p connection. Writes message 1, reads message 2. */
export class Initiator {
  readonly #noise: NoiseKk
  #kem: KemKey | undefined
  readonly #network: string
  readonly #aes: boolean

  /** @throws WireError `INVALID_IDENTITY` */
  constructor(options: HandshakeOptions & { readonly network: string }) {
    const random = options.random ?? platformRandom
    this.#noise = startNoise(options, true, random)
    const seed = random(KEM_SEED_LENGTH)
    this.#kem = keyAgreement.kem(seed)
    seed.fill(0)
    this.#network = options.network
    this.#aes = options.aes ?? aesIsFast()
  }

  /** Message 1, once. @throws WireError `DESTROYED` */
  writeMessage1(): Uint8Array<ArrayBuffer> {
    const kem = this.#kem ?? fail('DESTROYED', 'this handshake is over')
    const hello: Hello = { version: PROTOCOL_VERSION, network: this.#network, aes: this.#aes }
    return this.#noise.writeMessage1(encodeCbor({ ...hello, kem: kem.publicKey }))
  }

  /**
   * The session's secrets, or why the responder will not have one.
   *
   * @throws WireError `AUTHENTICATION`, `MALFORMED`, `TOO_LARGE`, `INVALID_IDENTITY` (an ephemeral key of low order)
   */
  readMessage2(message: Uint8Array): { readonly secrets: SessionSecrets } | { readonly refusal: Refusal } {
    const kem = this.#kem ?? fail('DESTROYED', 'this handshake is over')
    try {
      const payload = new Fields('payload 2', decodeCbor(this.#noise.readMessage2(message)))
      if (payload.has('code')) return { refusal: decodeRefusal(payload) }
      const version = payload.uint('version')
      if (version !== PROTOCOL_VERSION) fail('MALFORMED', `payload 2 is of version ${version}`)
      const ciphertext = payload.bytes('kem', KEM_CIPHERTEXT_LENGTH)
      const shared = kem.decapsulate(ciphertext)
      const aes = payload.flag('aes')
      if (aes && !this.#aes) fail('MALFORMED', 'payload 2 chooses a cipher that was not offered')
      return { secrets: deriveSecrets(this.#noise, shared, true, aes) }
    } finally {
      this.destroy()
    }
  }

  /** Zeroes what is secret; a second call does nothing. */
  destroy(): void {
    this.#noise.destroy()
    this.#kem?.destroy()
    this.#kem = undefined
  }
}

/** The side that was dialed. Reads message 1, writes message 2. */
export class Responder {
  readonly #noise: NoiseKk
  readonly #random: ((length: number) => Uint8Array) | undefined
  #kemPublicKey: Uint8Array | undefined
  #aes: boolean

  /** @throws WireError `INVALID_IDENTITY` */
  constructor(options: HandshakeOptions) {
    this.#random = options.random
    this.#aes = options.aes ?? aesIsFast()
    this.#noise = startNoise(options, false, options.random ?? platformRandom)
  }

  /** @throws WireError `AUTHENTICATION`, `MALFORMED`, `TOO_LARGE`, `INVALID_IDENTITY` */
  readMessage1(message: Uint8Array): Hello {
    const payload = new Fields('payload 1', decodeCbor(this.#noise.readMessage1(message)))
    const hello = { version: payload.uint('version'), network: payload.text('network', NETWORK_NAME_MAX) }
    // Another version may carry something else: it is refused with a word, not for its form.
    if (hello.version !== PROTOCOL_VERSION) return { ...hello, aes: false }
    this.#kemPublicKey = payload.bytes('kem', KEM_PUBLIC_KEY_LENGTH)
    const aes = payload.flag('aes')
    this.#aes &&= aes
    return { ...hello, aes }
  }

  /** Message 2 that accepts, and the session's secrets. @throws WireError `INVALID_IDENTITY` for a malformed ML-KEM key */
  accept(): { readonly message: Uint8Array<ArrayBuffer>; readonly secrets: SessionSecrets } {
    const publicKey = this.#kemPublicKey ?? fail('DESTROYED', 'this handshake has no message 1 of our version')
    try {
      const { cipherText, sharedSecret } = encapsulate(publicKey, this.#random?.(KEM_MESSAGE_LENGTH))
      const payload = encodeCbor({ version: PROTOCOL_VERSION, kem: cipherText, aes: this.#aes })
      const message = this.#noise.writeMessage2(payload)
      return { message, secrets: deriveSecrets(this.#noise, sharedSecret, false, this.#aes) }
    } finally {
      this.destroy()
    }
  }

  /** Message 2 that refuses. */
  refuse(refusal: Refusal): Uint8Array<ArrayBuffer> {
    try {
      return this.#noise.writeMessage2(encodeCbor(encodeRefusal(refusal)))
    } finally {
      this.destroy()
    }
  }

  /** Zeroes what is secret; a second call does nothing. */
  destroy(): void {
    this.#noise.destroy()
    this.#kemPublicKey = undefined
  }
}

function startNoise(options: HandshakeOptions, initiator: boolean, random: (length: number) => Uint8Array): NoiseKk {
  const { identity, remotePublicKey, previousSessionId = new Uint8Array(0) } = options
  if (previousSessionId.length !== 0 && previousSessionId.length !== SESSION_ID_LENGTH) {
    fail('MALFORMED', `a session id has ${SESSION_ID_LENGTH} bytes, got ${previousSessionId.length}`)
  }
  const own = identity.peerId
  const remote = encodePeerId(remotePublicKey)
  const ids = initiator ? [own, remote] : [remote, own]
  return new NoiseKk({
    initiator,
    prologue: concat(utf8ToBytes('glueberry/2'), Uint8Array.of(0), ...ids, previousSessionId),
    s: { publicKey: identity.x25519PublicKey, sharedSecret: (remote) => identity.sharedSecret(remote) },
    e: ephemeral(random),
    rs: toX25519(remotePublicKey),
  })
}

function ephemeral(random: (length: number) => Uint8Array): DhKey {
  const privateKey = random(32)
  const key = new DhKey(privateKey)
  privateKey.fill(0)
  return key
}

/** @param message what to do it with; the platform's own randomness when absent */
function encapsulate(publicKey: Uint8Array, message: Uint8Array | undefined): Encapsulated {
  try {
    return message === undefined ? keyAgreement.encapsulate(publicKey) : encapsulateWith(publicKey, message)
  } catch (cause) {
    return fail('INVALID_IDENTITY', 'an ML-KEM-768 encapsulation key is malformed', { cause })
  } finally {
    message?.fill(0)
  }
}

/** Split(), then the ML-KEM secret mixed into both directions: an attacker who breaks X25519 later still needs to break ML-KEM. */
function deriveSecrets(noise: NoiseKk, kemSecret: Uint8Array, initiator: boolean, aes: boolean): SessionSecrets {
  const { hash: id, keys } = noise.split()
  const [fromInitiator, fromResponder] = keys.map((key) => {
    const ikm = concat(key, kemSecret)
    const root = hkdfSha256(ikm, id, 'glueberry/2 root', 32)
    ikm.fill(0)
    key.fill(0)
    return root
  }) as [Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>]
  kemSecret.fill(0)
  const cipher = aes ? 'aes-256-gcm' : 'chacha20-poly1305'
  return initiator
    ? { id, cipher, sendRoot: fromInitiator, receiveRoot: fromResponder }
    : { id, cipher, sendRoot: fromResponder, receiveRoot: fromInitiator }
}
