import { createAead } from '#aead'
import { type Aead, type CipherName, KEY_LENGTH, TAG_LENGTH } from './aead.ts'
import { fail } from './errors.ts'

const NO_AAD = new Uint8Array(0)

/** The last nonce counter that is used; above it a number would no longer be exact. */
export const COUNTER_MAX: number = Number.MAX_SAFE_INTEGER
/** The same for AES-256-GCM, far below what is safe with nonces that never repeat (NIST SP 800-38D, section 8.3). */
export const AES_COUNTER_MAX: number = 2 ** 32

/**
 * One key and a nonce counter that only goes up: 4 zero bytes, then the counter as 64 bits little-endian
 * (the Noise specification's form, section 5.1 and 12.3). A nonce cannot be used twice, because nobody can choose one.
 */
export class CounterCipher {
  #aead: Aead | undefined
  #counter: number
  readonly #max: number
  readonly #nonce: Uint8Array = new Uint8Array(12)
  readonly #words: DataView = new DataView(this.#nonce.buffer)

  /** Takes the key's bytes over: they are zeroed. `counter` is where to begin, for tests of the end. */
  constructor(key: Uint8Array, counter = 0, name: CipherName = 'chacha20-poly1305') {
    if (key.length !== KEY_LENGTH) fail('MALFORMED', `a key has ${KEY_LENGTH} bytes, got ${key.length}`)
    this.#aead = createAead(key, name)
    this.#max = name === 'aes-256-gcm' ? AES_COUNTER_MAX : COUNTER_MAX
    this.#counter = counter
    key.fill(0)
  }

  /** How many times it was used. */
  get counter(): number {
    return this.#counter
  }

  /** @throws WireError `NONCE_EXHAUSTED`, `DESTROYED` */
  seal(plaintext: readonly Uint8Array[], aad: Uint8Array = NO_AAD): Uint8Array[] {
    return this.#ready().seal(this.#nextNonce(), aad, plaintext)
  }

  /** @throws WireError `AUTHENTICATION` when it does not verify (the counter stands then), `NONCE_EXHAUSTED`, `DESTROYED` */
  open(sealed: Uint8Array, aad: Uint8Array = NO_AAD): Uint8Array<ArrayBuffer> {
    if (sealed.length < TAG_LENGTH) fail('AUTHENTICATION', 'sealed bytes are shorter than their tag')
    const opened = this.#ready().open(this.#nextNonce(), aad, sealed)
    if (opened === undefined) {
      this.#counter--
      fail('AUTHENTICATION', 'sealed bytes do not verify')
    }
    return opened
  }

  /** Forgets the key; every later use throws. */
  destroy(): void {
    this.#aead = undefined
  }

  #ready(): Aead {
    return this.#aead ?? fail('DESTROYED', 'this cipher was destroyed')
  }

  #nextNonce(): Uint8Array {
    const counter = this.#counter
    if (counter > this.#max - 1) fail('NONCE_EXHAUSTED', 'this key has sealed as much as it may')
    this.#counter = counter + 1
    this.#words.setUint32(4, counter >>> 0, true)
    this.#words.setUint32(8, Math.floor(counter / 0x1_0000_0000), true)
    return this.#nonce
  }
}
