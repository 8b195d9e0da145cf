import { type GoodbyeReason, type Refusal, WireError } from '@glueberry/wire'
import { GlueberryError, textOf } from '../errors.ts'
import type { DisconnectReason } from '../events/events.ts'
import type { PeerId } from '../peer-id.ts'

/** How a session ended. */
export interface SessionEnd {
  readonly reason: DisconnectReason
  /** What was said to the peer, or by it. */
  readonly goodbye?: GoodbyeReason
  /** The refusal that ended it, and which side sent it. */
  readonly refusal?: Refusal & { readonly by: 'us' | 'them' }
}

/** What an error, ours, wire's or the stream's, means for a session. `keyed`: its keys had been agreed on. */
export function endByError(error: unknown, peerId: PeerId, keyed: boolean): SessionEnd {
  if (error instanceof WireError) {
    const text = `${peerId} broke the protocol: ${error.message}`
    const broken = new GlueberryError('PROTOCOL', text, { peerId, cause: error })
    const identity = error.code === 'INVALID_IDENTITY' || (error.code === 'AUTHENTICATION' && !keyed)
    return { reason: { kind: identity ? 'authentication' : 'protocol', error: broken }, goodbye: 'protocol' }
  }
  if (!GlueberryError.is(error)) {
    const text = `the connection to ${peerId} broke: ${textOf(error)}`
    return { reason: { kind: 'io', error: new GlueberryError('CONNECT_FAILED', text, { peerId, cause: error }) } }
  }
  switch (error.code) {
    case 'PROTOCOL':
      return { reason: { kind: 'protocol', error }, goodbye: 'protocol' }
    case 'HANDSHAKE_TIMEOUT':
    case 'CONNECT_TIMEOUT':
    case 'KEYS_EXPIRED':
      return { reason: { kind: 'timeout', error }, goodbye: 'timeout' }
    case 'CONNECT_FAILED':
      return { reason: { kind: 'io', error } }
    default:
      return { reason: { kind: 'authentication', error } }
  }
}

/** What the peer's goodbye means. */
export function endByGoodbye(goodbye: GoodbyeReason, peerId: PeerId): SessionEnd {
  switch (goodbye) {
    case 'protocol': {
      const error = new GlueberryError('PROTOCOL', `${peerId} says that this node broke the protocol`, { peerId })
      return { reason: { kind: 'protocol', error }, goodbye }
    }
    case 'timeout': {
      const error = new GlueberryError('HANDSHAKE_TIMEOUT', `${peerId} waited too long for this node`, { peerId })
      return { reason: { kind: 'timeout', error }, goodbye }
    }
    default:
      return { reason: { kind: 'remote' }, goodbye }
  }
}
