import type { Fields } from './cbor.ts'

/**
 * `version`, `network`: the other speaks another one · `application`: its handshake refused · `busy`: too many at once ·
 * `cooldown`: refused a short while ago · `blocked` · `identity-in-use`: two programs have one identity ·
 * `failed`: the other's own handshake threw or took too long · `other`: a code that this version does not know
 */
export type RefusalCode =
  | 'version'
  | 'network'
  | 'application'
  | 'busy'
  | 'cooldown'
  | 'blocked'
  | 'identity-in-use'
  | 'failed'
  | 'other'

/** Why a node will have no session, by its number on the wire, from 1. */
const REFUSAL_CODES: readonly RefusalCode[] = [
  'version',
  'network',
  'application',
  'busy',
  'cooldown',
  'blocked',
  'identity-in-use',
  'failed',
]

/** Said instead of going on; final for this attempt. */
export interface Refusal {
  /** Why, to decide by. */
  readonly code: RefusalCode
  /** For a person; at most 256 characters on the wire. */
  readonly reason: string
}

const REASON_MAX = 256

/** The fields of a refusal, for a payload or a control message. */
export function encodeRefusal({ code, reason }: Refusal): { code: number; reason: string } {
  return { code: REFUSAL_CODES.indexOf(code) + 1, reason: reason.slice(0, REASON_MAX) }
}

/** @throws WireError `MALFORMED`, `TOO_LARGE` */
export function decodeRefusal(fields: Fields): Refusal {
  return { code: REFUSAL_CODES[fields.uint('code') - 1] ?? 'other', reason: fields.text('reason', REASON_MAX) }
}
