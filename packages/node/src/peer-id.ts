import { encodePeerId, publicKeyOfPeerId } from '@glueberry/wire'
import { base58btc } from 'multiformats/bases/base58'

declare const brand: unique symbol

/** A peer's id in its usual text, `12D3KooW…`: base58btc of the multihash that carries its Ed25519 public key. */
export type PeerId = string & { readonly [brand]: 'PeerId' }

/** The PeerId of an Ed25519 public key of 32 bytes. */
export function peerIdOfKey(publicKey: Uint8Array): PeerId {
  return base58btc.baseEncode(encodePeerId(publicKey)) as PeerId
}

/** The Ed25519 public key that a PeerId carries. */
export function publicKeyOf(peerId: PeerId): Uint8Array<ArrayBuffer> {
  return publicKeyOfPeerId(peerIdBytes(peerId))
}

/** The bytes behind the text; these order two peers. */
export function peerIdBytes(peerId: PeerId): Uint8Array {
  return base58btc.baseDecode(peerId)
}
