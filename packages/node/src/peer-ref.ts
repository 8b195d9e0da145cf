import { publicKeyOfPeerId, WireError } from '@glueberry/wire'
import { base58btc } from 'multiformats/bases/base58'
import { GlueberryError } from './errors.ts'
import { show } from './options/check.ts'
import type { PeerId } from './peer-id.ts'

/** What libp2p itself uses for a PeerId; accepted wherever a peer is named. */
export interface LibP2PPeerId {
  readonly type: string
  toMultihash(): unknown
  toString(): string
}

/** A peer as the API's calls take it. Raw text enters only through {@link parsePeerId} and `connect`. */
export type PeerRef = PeerId | LibP2PPeerId

/** Characters of an id: those of Ed25519 keys have 52. */
const LENGTH_MAX = 128

/**
 * Checks a text and returns it as a `PeerId`.
 *
 * @throws GlueberryError `INVALID_PEER_ID`: not base58, or not the id of an Ed25519 key
 */
export function parsePeerId(text: string): PeerId {
  // Longer than any id: base58 takes time by the square of the length.
  if (typeof text !== 'string' || text.length > LENGTH_MAX) throw invalid(text)
  let bytes: Uint8Array
  try {
    bytes = base58btc.baseDecode(text)
  } catch (cause) {
    throw invalid(text, cause)
  }
  try {
    publicKeyOfPeerId(bytes)
  } catch (cause) {
    if (!(cause instanceof WireError)) throw cause
    throw invalid(text, cause)
  }
  return text as PeerId
}

/** A peer, however it was named, as text. */
export function toPeerId(peer: PeerRef): PeerId {
  if (typeof peer === 'string') return parsePeerId(peer)
  if (Array.isArray(peer)) throw invalid(peer)
  let text: string
  try {
    text = String(peer)
  } catch (cause) {
    throw invalid(peer, cause)
  }
  return parsePeerId(text)
}

function invalid(text: unknown, cause?: unknown): GlueberryError<'INVALID_PEER_ID'> {
  const shown =
    typeof text === 'string' ? JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text) : show(text)
  const hint =
    typeof text === 'string' && (text.startsWith('Qm') || text.startsWith('16Uiu2'))
      ? 'this is an RSA or secp256k1 identity; only Ed25519 identities (12D3KooW…) can be used'
      : undefined
  return new GlueberryError(
    'INVALID_PEER_ID',
    `a peer id must be the base58 text of an Ed25519 identity (12D3KooW…), got ${shown}${hint === undefined ? '' : ` (${hint})`}`,
    { hint, cause },
  )
}
