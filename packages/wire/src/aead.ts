/**
 * ChaCha20-Poly1305 with one key. This is the one seam between platforms: the import `#aead` is
 * `aead-node.ts` on Node and `aead-noble.ts` in a browser; everything else is the same code.
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
