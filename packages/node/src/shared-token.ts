import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { GlueberryError } from './errors.ts'
import type { HandshakePeer, Verdict } from './session/application-handshake.ts'

const LABEL = 'glueberry shared token 1'
const [NONCE_LENGTH, PROOF_LENGTH] = [32, 32]
/** Fewer bytes can be guessed by a peer that was dialed, from the proof that it gets. */
const SECRET_MIN = 16

/**
 * A handshake that admits the peers that know a secret, and shows the secret to nobody: each side proves that it knows it
 * by an HMAC-SHA256 over both ids and both sides' random numbers, the dialing side first. A proof is worth nothing
 * elsewhere, nor a second time. Everybody with the secret is admitted, under whatever identity.
 *
 * @param secret at least 16 bytes of chance, not a password: a peer that this node dials could try passwords afterwards
 * @throws GlueberryError `INVALID_OPTION` for anything else
 */
export function sharedToken(secret: Uint8Array | string): (peer: HandshakePeer) => Promise<Verdict> {
  const valid = typeof secret === 'string' || secret instanceof Uint8Array
  const key = valid ? Buffer.from(secret as string) : Buffer.alloc(0)
  if (key.length < SECRET_MIN) {
    const got = valid ? `${key.length} bytes` : typeof secret
    throw new GlueberryError('INVALID_OPTION', `a shared token has at least ${SECRET_MIN} bytes, got ${got}`)
  }
  return async (peer) => {
    const own = randomBytes(NONCE_LENGTH)
    await peer.send(own)
    const theirs = await peer.receive()
    if (theirs.length !== NONCE_LENGTH) return peer.refuse('no shared token')
    const dials = peer.direction === 'outbound'
    const { localPeerId, peerId } = peer
    const proof = (byDialer: boolean): Buffer =>
      createHmac('sha256', key)
        .update(
          [LABEL, byDialer ? 'dialer' : 'dialed', ...(dials ? [localPeerId, peerId] : [peerId, localPeerId])].join(
            '\0',
          ),
        )
        .update(dials ? own : theirs)
        .update(dials ? theirs : own)
        .digest()
    const isRight = (given: Uint8Array): boolean =>
      given.length === PROOF_LENGTH && timingSafeEqual(given, proof(!dials))
    if (dials) await peer.send(proof(true))
    if (!isRight(await peer.receive())) return peer.refuse('wrong shared token')
    if (!dials) await peer.send(proof(false)) // only to a peer that has shown that it knows it
    return peer.accept()
  }
}
