import { GlueberryError } from '../errors.ts'
import type { PeerId } from '../peer-id.ts'

/** Whose messages an error is about. */
interface About {
  readonly peerId: PeerId
  /** The stream's name. */
  readonly name: string
}

export function bufferFull({ peerId, name }: About): GlueberryError {
  return new GlueberryError('BUFFER_FULL', `no more is kept for ${peerId} while it is away`, { peerId, stream: name })
}

export function tooManyWaiting({ peerId, name }: About, max: number): GlueberryError {
  const text = `${max} calls of send to ${peerId} on ${JSON.stringify(name)} wait already`
  const hint = 'await each send before the next one, or raise limits.waitingSends'
  return new GlueberryError('TOO_MANY_WAITING', text, { peerId, stream: name, hint })
}

export function handlerFailed({ peerId, name }: About, sequence: number): GlueberryError {
  const text = `a handler of ${peerId} failed on message ${sequence} of ${JSON.stringify(name)}`
  return new GlueberryError('HANDLER_FAILED', text, { peerId, stream: name })
}

export function mayHaveFailed({ peerId, name }: About, sequence: number): GlueberryError {
  const text = `message ${sequence} was consumed by ${peerId}, and its handler may have failed`
  return new GlueberryError('UNCONFIRMED', text, { peerId, stream: name })
}

export function unconfirmed({ peerId, name }: About, sequence: number, cause: unknown): GlueberryError {
  const text = `no longer waiting for ${peerId} to consume message ${sequence}; it is still being delivered`
  return new GlueberryError('UNCONFIRMED', text, { peerId, stream: name, cause })
}

/** The peer claims what it cannot have. */
export function neverSent({ peerId, name }: About): GlueberryError {
  return new GlueberryError('PROTOCOL', `${peerId} acknowledged what it was never sent`, { peerId, stream: name })
}
