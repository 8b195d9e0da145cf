import type { PeerId } from './peer-id.ts'

// Every code, and whether doing the same again later may succeed.
const RETRYABLE = {
  /** Options are wrong; the message names each. */
  INVALID_OPTION: false,
  /** Not the text or object of an Ed25519 PeerId. */
  INVALID_PEER_ID: false,
  /** Not a multiaddr that can be dialed or listened on. */
  INVALID_ADDRESS: false,
  /** A key or key file that is no usable identity. */
  INVALID_IDENTITY: false,
  /** Not a stream name: 1 to 64 characters of `[A-Za-z0-9._-]`. */
  INVALID_STREAM: false,
  /** The node was not started yet. */
  NOT_RUNNING: false,
  /** The node is draining and takes no new messages. */
  DRAINING: false,
  /** The node was stopped. */
  STOPPED: false,
  /** Neither connected nor in the address book. */
  PEER_UNKNOWN: false,
  /** Blocked with `blockPeer`, here or there. */
  PEER_BLOCKED: false,
  /** Removed with `removePeer` while the call waited. */
  PEER_REMOVED: false,
  /** No address led to the peer, or the connection broke. */
  CONNECT_FAILED: true,
  /** No answer within `timeouts.connect`. */
  CONNECT_TIMEOUT: true,
  /** The peer said nothing, or not enough, within `timeouts.handshake`. */
  HANDSHAKE_TIMEOUT: true,
  /** The application's handshake refused, here or there. */
  HANDSHAKE_REFUSED: false,
  /** Refused a short while ago; not tried again before its end. */
  COOLDOWN: true,
  /** The peer is of another network. */
  NETWORK_MISMATCH: false,
  /** The peer speaks another version, or not this protocol at all. */
  VERSION_MISMATCH: false,
  /** Two running programs have one identity. */
  IDENTITY_IN_USE: false,
  /** The peer does not accept this stream name. */
  STREAM_NOT_ACCEPTED: false,
  /** `flow.overflow` is `'error'`, and no more is kept for a peer that is away. */
  BUFFER_FULL: true,
  /** The peer has as many connections as it takes. */
  BUSY: true,
  /** The name has a consumer already. */
  STREAM_TAKEN: false,
  /** Larger than this node sends or the peer accepts. */
  MESSAGE_TOO_LARGE: false,
  /** More than `limits.waitingSends` calls wait: someone forgot `await`. */
  TOO_MANY_WAITING: true,
  /** Given up: it was accepted, and can no longer be delivered. */
  UNDELIVERED: false,
  /** A `confirm` was given up by its caller; the message is still being delivered. */
  UNCONFIRMED: false,
  /** The address book cannot be read or written. */
  ADDRESS_BOOK: true,
  /** The peer broke the protocol. */
  PROTOCOL: true,
} as const

/** What went wrong, to decide by. The list only grows with a new minor version. */
export type ErrorCode = keyof typeof RETRYABLE

/** What an error carries beside its code and message. */
export interface ErrorDetails {
  /** What to do about it, for a person. */
  readonly hint?: string | undefined
  readonly peerId?: PeerId | undefined
  readonly stream?: string | undefined
  readonly cause?: unknown
}

/** The one class of error that this library throws and rejects with, besides an aborted signal's own `reason`. */
export class GlueberryError<C extends ErrorCode = ErrorCode> extends Error {
  override readonly name = 'GlueberryError'
  readonly code: C
  /** Whether the same call may succeed later, with nothing changed. */
  readonly retryable: boolean
  declare readonly hint?: string
  declare readonly peerId?: PeerId
  declare readonly stream?: string

  constructor(code: C, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.retryable = RETRYABLE[code]
    if (details.hint !== undefined) this.hint = details.hint
    if (details.peerId !== undefined) this.peerId = details.peerId
    if (details.stream !== undefined) this.stream = details.stream
  }

  /** Whether `error` is one of ours, of one of these codes (of any, when none is named). */
  static is<C extends ErrorCode = ErrorCode>(error: unknown, ...codes: readonly C[]): error is GlueberryError<C> {
    return error instanceof GlueberryError && (codes.length === 0 || codes.includes(error.code as C))
  }
}

/** Any thrown value as an error of ours; a stranger becomes the cause of one with `code`. */
export function asGlueberryError(
  error: unknown,
  code: ErrorCode,
  message: string,
  details: ErrorDetails = {},
): GlueberryError {
  if (error instanceof GlueberryError) return error
  return new GlueberryError(code, message, { ...details, cause: error })
}
