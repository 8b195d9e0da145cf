/** What went wrong with some bytes or keys; each is final for the session that it happened in. */
export type WireErrorCode =
  /** A key that is no usable Ed25519 identity: wrong size, not on the curve, of low order. */
  | 'INVALID_IDENTITY'
  /** Bytes that break the grammar of protocol.md. */
  | 'MALFORMED'
  /** A length or a count above its limit; thrown before anything of that size is buffered. */
  | 'TOO_LARGE'
  /** A tag that does not verify: other keys, changed bytes, another order. */
  | 'AUTHENTICATION'
  /** The counter of a cipher has reached its end. */
  | 'NONCE_EXHAUSTED'
  /** A key object used after `destroy()`, or a handshake used out of turn. */
  | 'DESTROYED'

/** The only error that this package throws on bad bytes and bad keys. */
export class WireError extends Error {
  override readonly name = 'WireError'
  /** What to decide by. */
  readonly code: WireErrorCode

  constructor(code: WireErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** Throws a `WireError`; for use in expressions. */
export function fail(code: WireErrorCode, message: string, options?: ErrorOptions): never {
  throw new WireError(code, message, options)
}
