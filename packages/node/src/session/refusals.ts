import type { Refusal, RefusalCode } from '@glueberry/wire'
import { type ErrorCode, GlueberryError } from '../errors.ts'
import type { PeerId } from '../peer-id.ts'
import { printable } from '../printable.ts'

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

/** A refusal as the error that a caller sees; what the peer wrote is made printable. */
export function refusalError(refusal: Refusal, peerId: PeerId, by: 'us' | 'them'): GlueberryError {
  const who = by === 'us' ? `this node refused ${peerId}` : `${peerId} refused`
  const reason = printable(refusal.reason)
  return new GlueberryError(CODES[refusal.code], reason === '' ? who : `${who}: ${reason}`, { peerId })
}
