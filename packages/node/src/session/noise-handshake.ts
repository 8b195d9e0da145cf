import {
  type IdentityKeys,
  Initiator,
  PROTOCOL_VERSION,
  type Refusal,
  Responder,
  type SessionSecrets,
} from '@glueberry/wire'
import { GlueberryError } from '../errors.ts'
import type { PeerId } from '../peer-id.ts'
import type { ControlChannel } from './control-channel.ts'
import { refusalError } from './refusals.ts'

export interface KeyAgreement {
  readonly identity: IdentityKeys
  readonly network: string
  readonly remotePublicKey: Uint8Array
  readonly peerId: PeerId
  /** On a key renewal, the id of the session that is renewed. */
  readonly previousSessionId?: Uint8Array
}

/** The dialer's side: message 1, then message 2. Rejects with the peer's refusal as an error. */
export async function initiate(channel: ControlChannel, options: KeyAgreement): Promise<SessionSecrets> {
  const initiator = new Initiator(options)
  try {
    channel.writeHandshakeMessage(initiator.writeMessage1())
    const answer = initiator.readMessage2(await readMessage(channel, options.peerId))
    if ('refusal' in answer) throw refusalError(answer.refusal, options.peerId, 'them')
    return answer.secrets
  } finally {
    initiator.destroy()
  }
}

/** The other side. `refuses` is asked once the peer is authenticated and known to be of our network. */
export async function respond(
  channel: ControlChannel,
  options: KeyAgreement & { refuses(): Refusal | undefined },
): Promise<SessionSecrets> {
  const responder = new Responder(options)
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
