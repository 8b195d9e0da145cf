import type { Refusal, RefusalCode } from '@glueberry/wire'
import { type ErrorCode, GlueberryError } from '../errors.ts'
import type { PeerId } from '../peer-id.ts'

const CODES: Record<RefusalCode, ErrorCode> = {
  version: 'VERSION_MISMATCH',
  network: 'NETWORK_MISMATCH',
  application: 'HANDSHAKE_REFUSED',
  busy: 'BUSY',
  cooldown: 'COOLDOWN',
  blocked: 'PEER_BLOCKED',
  'identity-in-use': 'IDENTITY_IN_USE',
  failed: 'HANDSHAKE_REFUSED',
  other: 'HANDSHAKE_REFUSED',
}

/** A refusal as the error that a caller sees. */
export function refusalError(refusal: Refusal, peerId: PeerId, by: 'us' | 'them'): GlueberryError {
  const who = by === 'us' ? `this node refused ${peerId}` : `${peerId} refused`
  return new GlueberryError(CODES[refusal.code], refusal.reason === '' ? who : `${who}: ${refusal.reason}`, { peerId })
}
