import { withSignal } from '../async.ts'
import { type Clock, deadline } from '../clock.ts'
import { GlueberryError } from '../errors.ts'
import type { Reason } from '../events.ts'
import type { PeerId } from '../peer-id.ts'
import type { Session } from '../session/session.ts'
import { type ByteStream, type Link, SESSION_PROTOCOL } from '../transport.ts'

export interface DialerOptions {
  readonly peerId: PeerId
  readonly clock: Clock
  /** For all addresses together. */
  readonly connectTimeout: number
  readonly handshakeTimeout: number
  dial(address: string, signal: AbortSignal): Promise<Link>
  /** Begins a session on a link of our own. */
  open(link: Link, stream: ByteStream): Session
  /** Whether there is an established session, whoever began it. */
  established(): boolean
  /** Whether there is a session that may still become it. */
  underWay(): boolean
  /** Resolves when any of that may have changed. */
  change(signal: AbortSignal): Promise<void>
  /** An attempt begins. */
  began(): void
  /** It has failed, and why. */
  failed(reason: Reason): void
  /** It is over, one way or the other. */
  over(): void
}

interface Attempt {
  readonly promise: Promise<void>
  readonly controller: AbortController
  callers: number
}

/** Makes a session with one peer, one attempt at a time: its promise is the lock. */
export class Dialer {
  /** Where the peer may be, in the order in which it is tried. */
  readonly addresses: Set<string> = new Set()
  readonly #options: DialerOptions
  #attempt: Attempt | undefined
  /** How the last session of the attempt ended, if that is what failed it. */
  #endedBy: Reason | undefined

  constructor(options: DialerOptions) {
    this.#options = options
  }

  get busy(): boolean {
    return this.#attempt !== undefined
  }

  /** While an attempt that was called off is still on its way out: it is nobody's to join. Resolves when it is gone. */
  get dying(): Promise<void> | undefined {
    const attempt = this.#attempt
    // Whatever becomes of it is told to its own callers.
    return attempt?.controller.signal.aborted === true ? attempt.promise.catch(() => {}) : undefined
  }

  /** Resolves when a session is established. Callers share the attempt; the last one to leave calls it off. */
  async connect(signal: AbortSignal | undefined): Promise<void> {
    const { peerId, underWay } = this.#options
    if (this.addresses.size === 0 && !this.busy && !underWay()) throw failure(peerId, [])
    this.#attempt ??= this.#start()
    const attempt = this.#attempt
    attempt.callers++
    try {
      await withSignal(attempt.promise, signal)
    } finally {
      attempt.callers--
      if (attempt.callers === 0 && this.#attempt === attempt) attempt.controller.abort(signal?.reason)
    }
  }

  /** Calls the attempt off; `error` is for who waits for it. */
  abort(error: GlueberryError): void {
    this.#attempt?.controller.abort(error)
  }

  #start(): Attempt {
    const controller = new AbortController()
    const promise = this.#try(controller.signal).finally(() => {
      this.#attempt = undefined
      this.#options.over()
    })
    promise.catch(() => {}) // everyone who waits sees it; nobody may wait any more
    return { promise, controller, callers: 0 }
  }

  async #try(signal: AbortSignal): Promise<void> {
    this.#options.began()
    try {
      await this.#dialEach(signal)
    } catch (error) {
      this.#options.failed(signal.aborted ? { kind: 'local' } : (this.#endedBy ?? dialFailure(error)))
      throw error
    }
  }

  /** Tries each address once. Each has its share of the time that is left. */
  async #dialEach(signal: AbortSignal): Promise<void> {
    if (await this.#anySession(signal)) return
    const { peerId, clock, connectTimeout } = this.#options
    const end = clock.elapsed() + connectTimeout
    const errors: GlueberryError[] = []
    let tried = 0
    for (const address of this.addresses) {
      // more may be added meanwhile
      const share = Math.max(0, end - clock.elapsed()) / (this.addresses.size - tried++)
      this.#endedBy = undefined
      try {
        return await this.#initiate(await this.#dial(address, share, signal), signal)
      } catch (error) {
        if (signal.aborted) throw signal.reason
        if (!GlueberryError.is(error, 'CONNECT_FAILED', 'CONNECT_TIMEOUT')) throw error
        errors.push(error)
      }
    }
    if (await this.#anySession(signal)) return
    throw failure(peerId, errors)
  }

  async #dial(address: string, timeout: number, signal: AbortSignal): Promise<Link> {
    const { peerId, dial, clock } = this.#options
    const limit = deadline(
      clock,
      timeout,
      () =>
        new GlueberryError('CONNECT_TIMEOUT', `${address} did not answer within ${Math.round(timeout)} ms`, { peerId }),
    )
    try {
      return await dial(address, AbortSignal.any([signal, limit.signal]))
    } finally {
      limit.cancel()
    }
  }

  /** Whether a session that is under way, whoever began it, is established. */
  async #anySession(signal: AbortSignal): Promise<boolean> {
    const { established, underWay, change } = this.#options
    while (!established() && underWay()) await change(signal)
    return established()
  }

  async #initiate(link: Link, signal: AbortSignal): Promise<void> {
    const { established, change, open } = this.#options
    const session = open(link, await this.#openStream(link, signal))
    try {
      while (!established()) {
        if (!session.ended) await change(signal)
        else if (!(await this.#anySession(signal))) throw session.end?.reason.error ?? closedError(link.peerId)
      }
    } catch (error) {
      this.#endedBy = session.end?.reason
      session.abandon({ kind: 'local' })
      throw error
    }
  }

  async #openStream(link: Link, signal: AbortSignal): Promise<ByteStream> {
    const { peerId, clock, handshakeTimeout } = this.#options
    const limit = deadline(
      clock,
      handshakeTimeout,
      () =>
        new GlueberryError('HANDSHAKE_TIMEOUT', `${peerId} did not answer within ${handshakeTimeout} ms`, { peerId }),
    )
    try {
      return await link.openStream(SESSION_PROTOCOL, AbortSignal.any([signal, limit.signal]))
    } catch (error) {
      link.abort(error as Error)
      throw error
    } finally {
      limit.cancel()
    }
  }
}

/** What a failed dial means for the peer's state. */
function dialFailure(error: unknown): Reason {
  if (!GlueberryError.is(error)) return { kind: 'local' }
  return {
    kind: GlueberryError.is(error, 'CONNECT_TIMEOUT', 'HANDSHAKE_TIMEOUT')
      ? 'timeout'
      : GlueberryError.is(error, 'CONNECT_FAILED')
        ? 'io'
        : 'authentication',
    error,
  }
}

function closedError(peerId: PeerId): GlueberryError {
  return new GlueberryError('CONNECT_FAILED', `the session with ${peerId} ended before it was established`, { peerId })
}

/** Why no address led to the peer. */
function failure(peerId: PeerId, errors: readonly GlueberryError[]): GlueberryError {
  const [only] = errors
  if (only === undefined) {
    return new GlueberryError('PEER_UNKNOWN', `no address of ${peerId} is known`, {
      peerId,
      hint: 'connect with a multiaddr, or add the peer with addPeer',
    })
  }
  if (errors.length === 1) return only
  const hint = errors.find((error) => error.hint !== undefined)?.hint
  const allSilent = errors.every(({ code }) => code === 'CONNECT_TIMEOUT')
  return new GlueberryError(
    allSilent ? 'CONNECT_TIMEOUT' : 'CONNECT_FAILED',
    `no address of ${peerId} answered: ${errors.map(({ message }) => message).join('; ')}`,
    {
      peerId,
      hint,
      cause: new AggregateError(errors),
    },
  )
}
