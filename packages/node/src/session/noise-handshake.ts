import {
  type IdentityKeys,
  Initiator,
  PROTOCOL_VERSION,
  type Refusal,
  Responder,
  type SessionSecrets,
} from '@glueberry/wire'
import { GlueberryError } from '../errors.ts'
import { type PeerId, publicKeyOf } from '../peer-id.ts'
import type { Direction } from '../transport/transport.ts'
import type { ControlChannel } from './control-channel.ts'
import { refusalError } from './refusals.ts'

export interface KeyAgreement {
  readonly identity: IdentityKeys
  readonly network: string
  /** Whether AES-256-GCM is to be used where the peer wants it too; measured when `undefined`. */
  readonly aes: boolean | undefined
  readonly peerId: PeerId
  /** On a key renewal, the id of the session that is renewed. */
  readonly previousSessionId: Uint8Array | undefined
  /** Why this peer is not wanted; the side that was dialed asks, once the peer is authenticated and known to be of our network. */
  refuses(): Refusal | undefined
}

/** Runs the Noise handshake of a session. Rejects with a refusal, of either side, as an error. */
export function agreeOnKeys(
  channel: ControlChannel,
  direction: Direction,
  options: KeyAgreement,
): Promise<SessionSecrets> {
  return direction === 'outbound' ? initiate(channel, options) : respond(channel, options)
}

/** What both sides put into it. */
function inputs({
  identity,
  network,
  aes,
  peerId,
  previousSessionId,
}: KeyAgreement): ConstructorParameters<typeof Initiator>[0] {
  return {
    ...{ identity, network, aes, remotePublicKey: publicKeyOf(peerId) },
    ...(previousSessionId === undefined ? {} : { previousSessionId }),
  }
}

/** The dialer's side: message 1, then message 2. */
async function initiate(channel: ControlChannel, options: KeyAgreement): Promise<SessionSecrets> {
  const initiator = new Initiator(inputs(options))
  try {
    channel.writeHandshakeMessage(initiator.writeMessage1())
    const answer = initiator.readMessage2(await readMessage(channel, options.peerId))
    if ('refusal' in answer) throw refusalError(answer.refusal, options.peerId, 'them')
    return answer.secrets
  } finally {
    initiator.destroy()
  }
}

/** The other side. */
async function respond(channel: ControlChannel, options: KeyAgreement): Promise<SessionSecrets> {
  const responder = new Responder(inputs(options))
  try {
    const hello = responder.readMessage1(await readMessage(channel, options.peerId))
    const refusal = mismatch(hello, options.network) ?? options.refuses()
    if (refusal !== undefined) {
      channel.writeHandshakeMessage(responder.refuse(refusal))
      throw refusalError(refusal, options.peerId, 'us')
    }
    const { message, secrets } = responder.accept()
    channel.writeHandshakeMessage(message)
    return secrets
  } finally {
    responder.destroy()
  }
}

function mismatch(hello: { readonly version: number; readonly network: string }, network: string): Refusal | undefined {
  if (hello.version !== PROTOCOL_VERSION) {
    return { code: 'version', reason: `it speaks version ${PROTOCOL_VERSION}, not ${hello.version}` }
  }
  if (hello.network !== network) return { code: 'network', reason: 'it is of another network' }
  return undefined
}

async function readMessage(channel: ControlChannel, peerId: PeerId): Promise<Uint8Array> {
  const message = await channel.readHandshakeMessage()
  if (message === undefined) {
    throw new GlueberryError('CONNECT_FAILED', `${peerId} closed the session before its handshake`, { peerId })
  }
  return message
}
