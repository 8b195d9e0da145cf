import { concat } from '../../src/bytes.ts'
import { toX25519 } from '../../src/identity-keys.ts'
import { IdentityKeys, Initiator, Responder, type SessionSecrets } from '../../src/index.ts'
import { NoiseKk } from '../../src/noise-kk.ts'

/** Bytes that a test can repeat: a counter, in the place of chance. */
export function countingRandom(start: number): (length: number) => Uint8Array {
  let next = start
  return (length) => Uint8Array.from({ length }, () => next++ & 0xff)
}

export const initiatorKeys = (): IdentityKeys => new IdentityKeys(new Uint8Array(32).fill(1))
export const responderKeys = (): IdentityKeys => new IdentityKeys(new Uint8Array(32).fill(2))

/** A whole handshake between two fixed identities, the same bytes every time. */
export function handshake(
  previousSessionId?: Uint8Array,
  aes: readonly [boolean, boolean] = [true, true],
): {
  message1: Uint8Array
  message2: Uint8Array
  initiator: SessionSecrets
  responder: SessionSecrets
} {
  const [a, b] = [initiatorKeys(), responderKeys()]
  const previous = previousSessionId === undefined ? {} : { previousSessionId }
  const initiator = new Initiator({
    identity: a,
    remotePublicKey: b.publicKey,
    network: 'test',
    aes: aes[0],
    random: countingRandom(0),
    ...previous,
  })
  const responder = new Responder({
    identity: b,
    remotePublicKey: a.publicKey,
    aes: aes[1],
    random: countingRandom(100),
    ...previous,
  })
  const message1 = initiator.writeMessage1()
  responder.readMessage1(message1)
  const accepted = responder.accept()
  const answer = initiator.readMessage2(accepted.message)
  if (!('secrets' in answer)) throw new Error('refused')
  return { message1, message2: accepted.message, initiator: answer.secrets, responder: accepted.secrets }
}

/** The initiator's Noise state without what this package puts into its payload: for a peer that says something else. */
export function bareInitiator(): NoiseKk {
  const [a, b, e] = [initiatorKeys(), responderKeys(), new IdentityKeys(new Uint8Array(32).fill(3))]
  return new NoiseKk({
    initiator: true,
    prologue: concat(Buffer.from('glueberry/2\0'), a.peerId, b.peerId),
    s: { publicKey: toX25519(a.publicKey), sharedSecret: (remote) => a.sharedSecret(remote) },
    e: {
      publicKey: toX25519(e.publicKey),
      sharedSecret: (remote) => e.sharedSecret(remote),
      destroy: () => e.destroy(),
    },
    rs: toX25519(b.publicKey),
  })
}
