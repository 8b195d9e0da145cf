import { sha256 } from '@noble/hashes/sha2.js'
import { utf8ToBytes } from '@noble/hashes/utils.js'
import { TAG_LENGTH } from './aead.ts'
import { concat } from './bytes.ts'
import { CounterCipher } from './cipher.ts'
import { fail } from './errors.ts'
import { hkdfSha256 } from './hkdf.ts'
import type { X25519Key } from './key-agreement.ts'

// Noise_KK_25519_ChaChaPoly_SHA256, The Noise Protocol Framework, revision 34:
//   -> s
//   <- s
//   ...
//   -> e, es, ss
//   <- e, ee, se
const PROTOCOL_NAME = utf8ToBytes('Noise_KK_25519_ChaChaPoly_SHA256') // 32 bytes, so it is h itself (section 5.2)
const DH_LENGTH = 32

export interface NoiseKkOptions {
  readonly initiator: boolean
  readonly prologue: Uint8Array
  /** Own static key. */
  readonly s: Omit<X25519Key, 'destroy'>
  /** Own ephemeral key, fresh for this handshake. */
  readonly e: X25519Key
  /** The remote's static public key. */
  readonly rs: Uint8Array
}

/** What `Split()` gives, with the handshake hash. */
export interface NoiseKkResult {
  /** h after message 2: 32 bytes that name this handshake and bind everything in it. */
  readonly hash: Uint8Array<ArrayBuffer>
  /** Keys of 32 bytes: initiator to responder, and back. */
  readonly keys: readonly [Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>]
}

/** HandshakeState with its SymmetricState (section 5) for the one pattern KK. Bytes in, bytes out; used once. */
export class NoiseKk {
  readonly #options: NoiseKkOptions
  #h: Uint8Array
  #ck: Uint8Array
  #cipher: CounterCipher | undefined
  #re: Uint8Array = new Uint8Array(0) // the remote's ephemeral, at the responder
  #turn: 'message 1' | 'message 2' | 'split' | 'over' = 'message 1'

  constructor(options: NoiseKkOptions) {
    this.#options = options
    this.#h = PROTOCOL_NAME
    this.#ck = PROTOCOL_NAME
    this.#mixHash(options.prologue)
    const [first, second] = options.initiator ? [options.s.publicKey, options.rs] : [options.rs, options.s.publicKey]
    this.#mixHash(first)
    this.#mixHash(second)
  }

  /** The initiator's first call. */
  writeMessage1(payload: Uint8Array): Uint8Array<ArrayBuffer> {
    this.#take('message 1', true)
    const { e, s, rs } = this.#options
    this.#mixHash(e.publicKey)
    this.#mixKey(e.sharedSecret(rs)) // es
    this.#mixKey(s.sharedSecret(rs)) // ss
    return concat(e.publicKey, this.#encryptAndHash(payload))
  }

  /** The responder's first call: the payload. */
  readMessage1(message: Uint8Array): Uint8Array<ArrayBuffer> {
    this.#take('message 1', false)
    const { s, rs } = this.#options
    const re = this.#readEphemeral(message)
    this.#mixKey(s.sharedSecret(re)) // es
    this.#mixKey(s.sharedSecret(rs)) // ss
    this.#re = re
    return this.#decryptAndHash(message.subarray(DH_LENGTH))
  }

  /** The responder's second call. */
  writeMessage2(payload: Uint8Array): Uint8Array<ArrayBuffer> {
    this.#take('message 2', false)
    const { e, rs } = this.#options
    this.#mixHash(e.publicKey)
    this.#mixKey(e.sharedSecret(this.#re)) // ee
    this.#mixKey(e.sharedSecret(rs)) // se
    return concat(e.publicKey, this.#encryptAndHash(payload))
  }

  /** The initiator's second call: the payload. */
  readMessage2(message: Uint8Array): Uint8Array<ArrayBuffer> {
    this.#take('message 2', true)
    const { e, s } = this.#options
    const re = this.#readEphemeral(message)
    this.#mixKey(e.sharedSecret(re)) // ee
    this.#mixKey(s.sharedSecret(re)) // se
    return this.#decryptAndHash(message.subarray(DH_LENGTH))
  }

  /** After message 2, once: the two keys and the hash. The state is zeroed. */
  split(): NoiseKkResult {
    if (this.#turn !== 'split') fail('DESTROYED', `a Noise handshake cannot split: it is at ${this.#turn}`)
    const both = hkdfSha256(new Uint8Array(0), this.#ck, '', 64)
    const result = { hash: Uint8Array.from(this.#h), keys: [both.slice(0, 32), both.slice(32)] } as const
    both.fill(0)
    this.destroy()
    return result
  }

  /** Zeroes the chaining key and the ephemeral private key; every later call throws. */
  destroy(): void {
    this.#turn = 'over'
    this.#options.e.destroy()
    this.#cipher?.destroy()
    if (this.#ck !== PROTOCOL_NAME) this.#ck.fill(0)
  }

  #take(turn: 'message 1' | 'message 2', initiatorsCall: boolean): void {
    const { initiator } = this.#options
    if (this.#turn !== turn || initiator !== initiatorsCall) {
      fail('DESTROYED', `a Noise handshake was asked for ${turn}, but is at ${this.#turn}`)
    }
    this.#turn = turn === 'message 1' ? 'message 2' : 'split'
  }

  #readEphemeral(message: Uint8Array): Uint8Array {
    if (message.length < DH_LENGTH + TAG_LENGTH) {
      fail('MALFORMED', `a Noise message of ${message.length} bytes is too short`)
    }
    const re = new Uint8Array(message.subarray(0, DH_LENGTH))
    this.#mixHash(re)
    return re
  }

  #mixHash(data: Uint8Array): void {
    this.#h = sha256(concat(this.#h, data))
  }

  #mixKey(secret: Uint8Array): void {
    const both = hkdfSha256(secret, this.#ck, '', 64)
    secret.fill(0)
    if (this.#ck !== PROTOCOL_NAME) this.#ck.fill(0)
    this.#ck = both.slice(0, 32)
    this.#cipher?.destroy()
    this.#cipher = new CounterCipher(both.slice(32)) // a new key begins at nonce 0
    both.fill(0)
  }

  #encryptAndHash(payload: Uint8Array): Uint8Array {
    const sealed = concat(...this.#keyed().seal([payload], this.#h))
    this.#mixHash(sealed)
    return sealed
  }

  #decryptAndHash(sealed: Uint8Array): Uint8Array<ArrayBuffer> {
    const payload = this.#keyed().open(sealed, this.#h)
    this.#mixHash(sealed)
    return payload
  }

  #keyed(): CounterCipher {
    return this.#cipher ?? fail('DESTROYED', 'a Noise handshake has no key yet')
  }
}
