import { type Clock, deadline } from '../clock.ts'
import { GlueberryError } from '../errors.ts'
import type { DisconnectReason } from '../events/events.ts'
import type { PeerId } from '../peer-id.ts'
import type { Session } from '../session/session.ts'
import { type ByteStream, type Link, SESSION_PROTOCOL } from '../transport/transport.ts'

/** Why an attempt has failed. */
export class AttemptFailure extends Error {
  readonly reason: DisconnectReason & { readonly error: GlueberryError }
  /** It was the peer that said no, for a reason that will not pass by itself. */
  readonly final: boolean

  constructor(kind: DisconnectReason['kind'], error: GlueberryError, final = false) {
    super(error.message)
    this.reason = { kind, error }
    this.final = final
  }
}

export interface AttemptOptions {
  readonly peerId: PeerId
  readonly clock: Clock
  readonly handshakeTimeout: number
  dial(address: string, signal: AbortSignal): Promise<Link>
  /** Whether the peer is in its cooldown: then no session is begun. */
  coolingDown(): boolean
  /** Begins a session on a link of our own. */
  open(link: Link, stream: ByteStream): Session
  /** Resolves with the established session, if there is one, when no other can become it any more. */
  outcome(signal: AbortSignal): Promise<Session | undefined>
  /** Resolves when the session is established or over. */
  settled(session: Session, signal: AbortSignal): Promise<void>
}

/** Tries one address, for `timeout` milliseconds until it answers. Rejects with an `AttemptFailure`, or the signal's reason. */
export async function attempt(
  options: AttemptOptions,
  address: string,
  timeout: number,
  signal: AbortSignal,
): Promise<Session> {
  // A session that is under way already is waited for before another one is begun.
  const already = await options.outcome(signal)
  if (already !== undefined) return already
  let session: Session | undefined
  try {
    checkCooldown(options)
    const link = await dial(options, address, timeout, signal)
    checkCooldown(options, link)
    session = options.open(link, await openStream(options, link, signal))
    await options.settled(session, signal)
    if (session.established) return session
    throw failureOf(session)
  } catch (error) {
    if (session?.wasEstablished === true) return session // its success may be known before this, and call the attempt off
    session?.abandon({ kind: 'local' })
    if (signal.aborted) throw signal.reason
    const other = await options.outcome(signal) // told `duplicate`, for example: the other one may live
    if (other !== undefined) return other
    throw error instanceof AttemptFailure ? error : failureBefore(error as GlueberryError)
  }
}

/** A refusal on another session may have come meanwhile. */
function checkCooldown({ peerId, coolingDown }: AttemptOptions, link?: Link): void {
  if (!coolingDown()) return
  const error = new GlueberryError('COOLDOWN', `${peerId} was refused a short while ago`, { peerId })
  link?.abort(error)
  throw new AttemptFailure('local', error)
}

/** One error for an attempt over several addresses. */
export function combine(peerId: PeerId, failures: readonly AttemptFailure[]): AttemptFailure {
  const [only] = failures
  if (failures.length === 1 && only !== undefined) return only
  const errors = failures.map(({ reason }) => reason.error)
  const hint = errors.find((error) => error.hint !== undefined)?.hint
  const allSilent = errors.every(({ code }) => code === 'CONNECT_TIMEOUT')
  const allWrong = errors.every(({ code }) => code === 'WRONG_IDENTITY')
  const text = `no address of ${peerId} answered: ${errors.map(({ message }) => message).join('; ')}`
  const cause = new AggregateError(errors)
  return new AttemptFailure(
    allSilent ? 'timeout' : 'io',
    new GlueberryError(allSilent ? 'CONNECT_TIMEOUT' : allWrong ? 'WRONG_IDENTITY' : 'CONNECT_FAILED', text, {
      peerId,
      hint,
      cause,
    }),
  )
}

async function dial(
  { peerId, clock, dial }: AttemptOptions,
  address: string,
  timeout: number,
  signal: AbortSignal,
): Promise<Link> {
  const limit = deadline(clock, timeout, () => {
    const text = `${address} did not answer within ${Math.round(timeout)} ms`
    return new GlueberryError('CONNECT_TIMEOUT', text, { peerId })
  })
  try {
    return await dial(address, AbortSignal.any([signal, limit.signal]))
  } finally {
    limit.cancel()
  }
}

async function openStream(
  { peerId, clock, handshakeTimeout }: AttemptOptions,
  link: Link,
  signal: AbortSignal,
): Promise<ByteStream> {
  const limit = deadline(clock, handshakeTimeout, () => {
    const text = `${peerId} did not answer within ${handshakeTimeout} ms`
    return new GlueberryError('HANDSHAKE_TIMEOUT', text, { peerId })
  })
  try {
    return await link.openStream(SESSION_PROTOCOL, AbortSignal.any([signal, limit.signal]))
  } catch (error) {
    link.abort(error as Error)
    throw error
  } finally {
    limit.cancel()
  }
}

/** Refusals that pass: no room, a cooldown, a handler that failed, another program with the same identity. */
const PASSING: ReadonlySet<string> = new Set(['busy', 'cooldown', 'failed', 'identity-in-use', 'other'])

function failureOf({ peerId, end }: Session): AttemptFailure {
  const { reason, refusal } = end ?? { reason: { kind: 'remote' } as DisconnectReason }
  const error =
    reason.error ??
    new GlueberryError('CONNECT_FAILED', `the session with ${peerId} ended before it was established`, { peerId })
  const passing = refusal !== undefined && PASSING.has(refusal.code)
  return new AttemptFailure(reason.kind, error, reason.kind === 'authentication' && !passing)
}

/** What failed before there was a session. Only a peer that does not speak the protocol has said no for good. */
function failureBefore(error: GlueberryError): AttemptFailure {
  if (GlueberryError.is(error, 'CONNECT_TIMEOUT', 'HANDSHAKE_TIMEOUT')) return new AttemptFailure('timeout', error)
  if (GlueberryError.is(error, 'VERSION_MISMATCH')) return new AttemptFailure('authentication', error, true)
  // Another peer answers at this address: the one that is wanted may come back, or be found elsewhere.
  if (GlueberryError.is(error, 'WRONG_IDENTITY')) return new AttemptFailure('authentication', error)
  return new AttemptFailure('io', error)
}
