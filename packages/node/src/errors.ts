import type { PeerId } from './peer-id.ts'

/** What went wrong, to decide by. The list only grows with a new minor version. */
export type ErrorCode =
  /** Options are wrong; the message names each. */
  | 'INVALID_OPTION'
  /** Not the text or object of an Ed25519 PeerId. */
  | 'INVALID_PEER_ID'
  /** Not a multiaddr that can be dialed or listened on. */
  | 'INVALID_ADDRESS'
  /** Another program, or another node, listens on the address. */
  | 'ADDRESS_IN_USE'
  /** A key or key file that is no usable identity. */
  | 'INVALID_IDENTITY'
  /** Not a stream name: 1 to 64 characters of `[A-Za-z0-9._-]`. */
  | 'INVALID_STREAM'
  /** The node was not started yet. */
  | 'NOT_RUNNING'
  /** The node is draining and takes no new messages. */
  | 'DRAINING'
  /** The node was stopped. */
  | 'STOPPED'
  /** Neither connected nor in the address book. */
  | 'PEER_UNKNOWN'
  /** Blocked with `blockPeer`. A peer that has blocked this node does not say so: it closes the connection. */
  | 'PEER_BLOCKED'
  /** Removed with `removePeer` while the call waited. */
  | 'PEER_REMOVED'
  /** No address led to the peer, or the connection broke. */
  | 'CONNECT_FAILED'
  /** No answer within `timeouts.connect`, or silence for `heartbeat.timeout`. */
  | 'CONNECT_TIMEOUT'
  /** Another peer answered at the address: the key there has changed, or the address is somebody else's. */
  | 'WRONG_IDENTITY'
  /** The peer said nothing, or not enough, within `timeouts.handshake`. */
  | 'HANDSHAKE_TIMEOUT'
  /** The application's handshake refused, here or there. */
  | 'HANDSHAKE_REFUSED'
  /** Refused a short while ago; not tried again before its end. */
  | 'COOLDOWN'
  /** The peer is of another network. */
  | 'NETWORK_MISMATCH'
  /** The peer speaks another version, or not this protocol at all. */
  | 'VERSION_MISMATCH'
  /** Two running programs have one identity. */
  | 'IDENTITY_IN_USE'
  /** The peer does not accept this stream name. */
  | 'STREAM_NOT_ACCEPTED'
  /** `flow.overflow` is `'error'`, and no more is kept for a peer that is away. */
  | 'BUFFER_FULL'
  /** The peer has no memory, or no connection, for one more peer. */
  | 'BUSY'
  /** The name has a consumer already. */
  | 'STREAM_TAKEN'
  /** Larger than this node sends or the peer accepts. */
  | 'MESSAGE_TOO_LARGE'
  /** More than `limits.waitingSends` calls wait: someone forgot `await`. */
  | 'TOO_MANY_WAITING'
  /** Given up: it was accepted, and can no longer be delivered. */
  | 'UNDELIVERED'
  /** A handler failed on the message: here (`handler-failed`), or at the peer, for a `send` with `confirm`. */
  | 'HANDLER_FAILED'
  /** A `confirm` was given up by its caller; the message is still being delivered. */
  | 'UNCONFIRMED'
  /** The address book cannot be read or written. */
  | 'ADDRESS_BOOK'
  /** The keys of a session were not renewed in time. */
  | 'KEYS_EXPIRED'
  /** Some part of the node could not be closed when it stopped; `cause` has them all. */
  | 'CLOSE_FAILED'
  /** The peer broke the protocol. */
  | 'PROTOCOL'

/** Codes after which the same call may succeed later, with nothing changed. */
const RETRYABLE: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'ADDRESS_IN_USE',
  'CONNECT_FAILED',
  'CONNECT_TIMEOUT',
  'KEYS_EXPIRED',
  'HANDSHAKE_TIMEOUT',
  'COOLDOWN',
  'BUFFER_FULL',
  'BUSY',
  'TOO_MANY_WAITING',
  'ADDRESS_BOOK',
  'PROTOCOL',
])

/** What an error carries beside its code and message. */
export interface ErrorDetails {
  /** What to do about it, for a person. */
  readonly hint?: string | undefined
  /** The peer that it is about. */
  readonly peerId?: PeerId | undefined
  /** The stream name that it is about. */
  readonly stream?: string | undefined
  /** The error behind it. */
  readonly cause?: unknown
}

/** The one class of error that this library throws and rejects with, besides an aborted signal's own `reason`. */
export class GlueberryError<C extends ErrorCode = ErrorCode> extends Error {
  override readonly name = 'GlueberryError'
  /** What to decide by. */
  readonly code: C
  /** Whether the same call may succeed later, with nothing changed. */
  readonly retryable: boolean
  /** What to do about it, for a person. */
  declare readonly hint?: string
  /** The peer that it is about. */
  declare readonly peerId?: PeerId
  /** The stream name that it is about. */
  declare readonly stream?: string

  constructor(code: C, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.retryable = RETRYABLE.has(code)
    if (details.hint !== undefined) this.hint = details.hint
    if (details.peerId !== undefined) this.peerId = details.peerId
    if (details.stream !== undefined) this.stream = details.stream
  }

  /** With its message, which `JSON.stringify` would leave out of an error. */
  toJSON(): object {
    return { ...this, message: this.message }
  }

  /** Whether `error` is one of ours, of one of these codes (of any, when none is named). */
  static is<C extends ErrorCode = ErrorCode>(error: unknown, ...codes: readonly C[]): error is GlueberryError<C> {
    return error instanceof GlueberryError && (codes.length === 0 || codes.includes(error.code as C))
  }
}

/** The peer has done what the protocol does not allow. */
export function protocolViolation(peerId: PeerId, what: string): GlueberryError {
  return new GlueberryError('PROTOCOL', `${peerId} broke the protocol: ${what}`, { peerId })
}

/** What a thrown value says, whatever it is: an application may throw anything, and this never throws. */
export function textOf(thrown: unknown): string {
  try {
    return String(thrown instanceof Error ? thrown.message : thrown)
  } catch {
    return `a thrown value that has no text, of type ${typeof thrown}`
  }
}
