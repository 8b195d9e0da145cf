/** ChaCha20-Poly1305 (RFC 8439), or AES-256-GCM (NIST SP 800-38D) with nonces of 96 bits. Both have tags of 16 bytes. */
export type CipherName = 'chacha20-poly1305' | 'aes-256-gcm'

/**
 * One of the ciphers with one key. This is a seam between platforms: the import `#aead` is `aead-node.ts` on Node and
 * `aead-noble.ts` in a browser. Both also say, as `aesIsFast`, whether AES-256-GCM is the faster cipher there.
 */
export interface Aead {
  /** Ciphertext and 16-byte tag, in as many pieces as come without copying. */
  seal(nonce: Uint8Array, aad: Uint8Array, plaintext: readonly Uint8Array[]): Uint8Array[]
  /** The plaintext, or `undefined` when the tag (the last 16 bytes) does not verify. `sealed` has at least 16 bytes. */
  open(nonce: Uint8Array, aad: Uint8Array, sealed: Uint8Array): Uint8Array<ArrayBuffer> | undefined
}

/** Bytes that sealing adds. */
export const TAG_LENGTH = 16
/** Bytes of a key. */
export const KEY_LENGTH = 32
