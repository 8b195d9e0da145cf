/**
 * X25519 (RFC 7748) and ML-KEM-768 (FIPS 203), with their private keys. The second seam between platforms: the import
 * `#key-agreement` is `key-agreement-node.ts` on Node and `key-agreement-noble.ts` in a browser; both compute the same.
 */
export interface KeyAgreement {
  /** An X25519 key pair of this private key, 32 bytes; copied. */
  x25519(privateKey: Uint8Array): X25519Key
  /** An ML-KEM-768 key pair of this seed, 64 bytes (d || z). */
  kem(seed: Uint8Array): KemKey
  /** Encapsulates to an ML-KEM-768 key of 1,184 bytes. @throws when it is malformed */
  encapsulate(publicKey: Uint8Array): Encapsulated
}

export interface X25519Key {
  readonly publicKey: Uint8Array<ArrayBuffer>
  /** @throws when the public key is of low order: the shared secret would be all zero */
  sharedSecret(publicKey: Uint8Array): Uint8Array<ArrayBuffer>
  /** Gives the private key up. */
  destroy(): void
}

export interface KemKey {
  readonly publicKey: Uint8Array
  /** The secret of a ciphertext of 1,088 bytes; of one that was not made for this key, another one (implicit rejection). */
  decapsulate(ciphertext: Uint8Array): Uint8Array
  /** Gives the private key up. */
  destroy(): void
}

export interface Encapsulated {
  readonly cipherText: Uint8Array
  readonly sharedSecret: Uint8Array
}
