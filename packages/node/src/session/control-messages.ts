import { type ControlMessage, type Ready, type Setup, STREAM_NAMES_MAX } from '@glueberry/wire'
import { protocolViolation } from '../errors.ts'
import type { PeerId } from '../peer-id.ts'
import type { StreamsPort } from '../session-port.ts'
import { endByGoodbye, type SessionEnd } from './endings.ts'
import type { Phase } from './phase.ts'
import { refusalError } from './refusals.ts'

/** What the peer's control messages act on. */
export interface ControlTarget {
  readonly peerId: PeerId
  readonly streams: StreamsPort
  /** The message brings no message of the application, and the session no further. @throws GlueberryError when that is too often */
  request(): void
  end(end: SessionEnd): void
  setup(remote: Setup): void
  handshake(data: Uint8Array): void
  ready(ready: Ready): void
  /** The peer accepts these names from now on. */
  accepts(names: ReadonlySet<string>): void
  ping(number: number): void
  pong(number: number): void
  renew(): void
}

/** What each control message of the peer does in this phase, if it may come. @throws GlueberryError `PROTOCOL` */
export function handleControl(message: ControlMessage, phase: Phase, target: ControlTarget): void {
  const { peerId, streams } = target
  switch (message.type) {
    case 'refuse': {
      const error = refusalError(message, peerId, 'them')
      return target.end({ reason: { kind: 'authentication', error }, refusal: { ...message, by: 'them' } })
    }
    case 'goodbye':
      return target.end(endByGoodbye(message.reason, peerId))
    case 'setup':
      if (phase.name !== 'setting up') throw protocolViolation(peerId, 'SETUP came twice')
      return target.setup(message)
  }
  if (phase.name !== 'deciding' && phase.name !== 'established')
    throw protocolViolation(peerId, `${message.type} came before SETUP`)
  const established = phase.name === 'established'
  switch (message.type) {
    case 'handshake':
      if (phase.remoteReady !== undefined) throw protocolViolation(peerId, 'HANDSHAKE came after READY')
      if (phase.accepted) target.request() // nobody reads it any more
      return target.handshake(message.data)
    case 'ready':
      if (phase.remoteReady !== undefined) throw protocolViolation(peerId, 'READY came twice')
      return target.ready(message)
    case 'ack':
      if (!established) throw protocolViolation(peerId, 'ACK came before READY')
      if (!streams.acknowledge(message.acknowledgements)) target.request()
      return
    case 'failed':
      if (!established) throw protocolViolation(peerId, 'FAILED came before READY')
      if (!streams.failed(message.failures)) target.request()
      return
  }
  target.request()
  switch (message.type) {
    case 'streams': {
      const names = new Set([...phase.remoteStreams, ...message.names])
      if (names.size > STREAM_NAMES_MAX)
        throw protocolViolation(peerId, `it accepts more than ${STREAM_NAMES_MAX} names`)
      return target.accepts(names)
    }
    case 'withdraw':
      target.accepts(new Set([...phase.remoteStreams].filter((name) => !message.names.includes(name))))
      if (established) streams.withdrawn(message.names)
      return
    case 'ping':
      return target.ping(message.number)
    case 'pong':
      return target.pong(message.number)
    case 'renew':
      if (established) target.renew()
      return
    case 'want':
      if (!established) throw protocolViolation(peerId, 'WANT came before READY')
      return streams.want(message.name, message.limit)
    case 'return':
      if (!established) throw protocolViolation(peerId, 'RETURN came before READY')
      return streams.returned(message.name, message.returned)
  }
}
