import { AddressPool, backoff, ReconnectError, Reconnector, type ReconnectorState } from '@glueberry/reconnect'
import { ADDRESSES_MAX } from '../address.ts'
import type { Clock } from '../clock.ts'
import { GlueberryError } from '../errors.ts'
import type { DisconnectReason } from '../events/events.ts'
import type { Logger } from '../observe/logger.ts'
import type { ReconnectSettings } from '../options/settings.ts'
import type { PeerId } from '../peer-id.ts'
import type { Session } from '../session/session.ts'
import { AttemptFailure, type AttemptOptions, attempt, combine } from './attempt.ts'
import type { Dials, Turn } from './dials.ts'
import type { ReconnectAttempt } from './state.ts'

export interface AttemptsOptions {
  readonly peerId: PeerId
  readonly clock: Clock
  /** For all addresses of one attempt together. */
  readonly connectTimeout: number
  readonly logger: Logger
  readonly dials: Dials
  /** A dial begins. */
  dialing(): void
  /** `undefined`: nothing is tried but when asked. */
  readonly reconnect: ReconnectSettings | undefined
  /** How one address is tried. */
  readonly attempt: AttemptOptions
  /** Resolves when the peer is not in its cooldown. */
  cooldownOver(signal: AbortSignal): Promise<void>
  /** Something went wrong here that no call can be told of. */
  report(error: GlueberryError): void
  /** `state` has changed. */
  changed(state: ReconnectorState<Session>): void
}

/** After a loss the side that was dialed leaves the other so long to come back, at most, in milliseconds. */
const HEAD_START = 1000

/** The attempts to have a session with one peer: a Reconnector, and what this library makes of it. */
export class Attempts {
  readonly #options: AttemptsOptions
  readonly #pool: AddressPool<string>
  readonly #reconnector: Reconnector<string, Session>
  readonly #backoff: (attempt: number) => number
  /** Why the last attempt failed, or why what was up is not any more. */
  #reason: DisconnectReason = { kind: 'local' }
  /** Which side dialed the last established session. */
  #lastDirection: 'inbound' | 'outbound' = 'outbound'
  /** The wait in progress, or the one before the attempt in flight. */
  #retry: ReconnectAttempt | undefined
  #end = 0 // of the connect time-out of the attempt in flight, by `clock.elapsed`
  /** The dial of the attempt in flight. */
  #turn: Turn | undefined
  /** There was a session. */
  #wasUp = false
  /** Callers that wait for a session. */
  #callers = 0

  constructor(options: AttemptsOptions) {
    this.#options = options
    const { peerId, clock, reconnect, connectTimeout, logger } = options
    const { attemptsPerAddress } = reconnect ?? {}
    this.#pool = new AddressPool<string>([], attemptsPerAddress === undefined ? {} : { attemptsPerAddress })
    this.#backoff = backoff(reconnect ?? {}, () => random(clock))
    this.#reconnector = new Reconnector<string, Session>({
      pool: this.#pool,
      clock,
      random: () => random(clock),
      maxAttempts: reconnect?.maxAttempts ?? -1,
      delay: (number, error) => this.#delay(number, error),
      attemptTimeout: Number.POSITIVE_INFINITY, // every step of ours has its own
      attempt: async (address, signal, { attempt: number, tried }) => {
        if (tried === 0 && options.attempt.coolingDown()) await options.cooldownOver(signal)
        const asked = clock.elapsed()
        const turn = await this.#dialTurn(number, signal)
        // The time-out runs from the dial: waiting for a turn does not count.
        if (tried === 0) this.#end = clock.elapsed() + connectTimeout
        else this.#end += clock.elapsed() - asked
        // Each address has its share of the time that is left: one that is silent leaves some for the next.
        // One that came when the others had used up the time has its share all the same.
        const left = Math.max(0, this.#end - clock.elapsed()) / Math.max(1, this.#pool.size - tried)
        const share = Math.max(left, connectTimeout / Math.max(1, this.#pool.size))
        const level = turn.urgency === 'background' ? 'debug' : 'info'
        logger[level]('dialing', { peerId, address, timeout: Math.round(share) })
        try {
          return await attempt(options.attempt, address, share, signal)
        } catch (error) {
          if (error instanceof AttemptFailure) this.#reason = error.reason
          throw error
        } finally {
          turn.end()
          if (this.#turn === turn) this.#turn = undefined
        }
      },
      dispose: () => {}, // a session is ended by its successor, or by the caller of `cancel`
      // Once the peer is authenticated, a failure is not its address' fault.
      concernsAll: (error) => !GlueberryError.is(errorOf(error), 'CONNECT_FAILED', 'CONNECT_TIMEOUT', 'WRONG_IDENTITY'),
      combine: (errors) => {
        const failure = combine(peerId, errors as AttemptFailure[])
        this.#reason = failure.reason
        return failure
      },
      giveUp: (error, previous) =>
        error instanceof AttemptFailure &&
        previous instanceof AttemptFailure &&
        error.final &&
        previous.final &&
        error.reason.error.code === previous.reason.error.code,
      onState: (state) => this.#changed(state),
    })
  }

  get state(): ReconnectorState<Session>['name'] {
    return this.#reconnector.state.name
  }

  /** Whether one is under way, or waited for. */
  get busy(): boolean {
    return this.state === 'attempting' || this.state === 'waiting'
  }

  /** Why the last attempt failed, or why what was up is not any more. */
  get reason(): DisconnectReason {
    return this.#reason
  }

  /** The attempt after a wait, and how much of that is left; `undefined` when nothing was waited for. */
  get retry(): (ReconnectAttempt & { readonly delay: number }) | undefined {
    const { state } = this.#reconnector
    if (this.#retry === undefined) return undefined
    const left = Math.max(0, this.#retry.at - this.#options.clock.now())
    return { ...this.#retry, delay: state.name === 'waiting' ? Math.min(state.delay, left) : 0 }
  }

  /** Where the peer may be, in the order in which it was learned. */
  get addresses(): string[] {
    return this.#pool.entries().map(({ address }) => address)
  }

  /** Returns those that were not known. Of too many the one that failed most often is forgotten: a peer that moves again and again leaves a trail of them. */
  addAddresses(addresses: readonly string[]): string[] {
    const added = addresses.filter((address) => this.#pool.add(address))
    while (this.#pool.size > ADDRESSES_MAX) {
      const [worst] = this.#pool.entries().sort((a, b) => b.failures - a.failures)
      if (worst !== undefined) this.#pool.remove(worst.address)
    }
    return added
  }

  removeAddresses(addresses: readonly string[]): void {
    for (const address of addresses) this.#pool.remove(address)
    if (this.possible || this.state !== 'waiting') return
    void this.cancel(noAddress(this.#options.peerId))
  }

  /** Whether there is anything to try. */
  get possible(): boolean {
    return this.#pool.size > 0
  }

  /** Resolves when established; rejects with an error for the caller. */
  async connect(signal: AbortSignal | undefined): Promise<void> {
    this.#callers++
    this.#turn?.hurry()
    try {
      await this.#reconnector.connect({ signal })
    } catch (error) {
      if (error instanceof ReconnectError && error.code === 'NO_ADDRESS') throw noAddress(this.#options.peerId)
      throw errorOf(error)
    } finally {
      this.#callers--
    }
  }

  keep(): void {
    this.#reconnector.keep()
  }

  retryNow(): void {
    this.#reconnector.retryNow()
  }

  /** A session is established, begun by either side. */
  adopt(session: Session): void {
    this.#wasUp = true
    this.#lastDirection = session.link.direction
    this.#reconnector.adopt(session)
  }

  /** It has lasted. */
  confirm(session: Session): void {
    this.#reconnector.confirm(session)
  }

  /** What was up is lost: it is tried again, unless it is not `wanted` any more. */
  lost(reason: DisconnectReason, wanted: boolean): void {
    const { peerId, reconnect } = this.#options
    const { state } = this.#reconnector
    this.#reason = reason
    if (state.name !== 'up') return
    const error = reason.error ?? new GlueberryError('CONNECT_FAILED', `the session with ${peerId} ended`, { peerId })
    if (wanted && this.possible && reconnect !== undefined) this.#reconnector.lost(state.connection, error)
    else void this.#reconnector.cancel(error)
  }

  /** No further attempts; callers that wait for one get the error. Resolves when the one in flight is gone. */
  cancel(error: GlueberryError): Promise<void> {
    this.#reason = { kind: 'local' }
    return this.#reconnector.cancel(error)
  }

  /** The same, for good. */
  close(error: GlueberryError): Promise<void> {
    return this.#reconnector.close(error)
  }

  /** Resolves when a dial may begin. */
  #dialTurn(attempt: number, signal: AbortSignal): Promise<Turn> {
    const { dials, dialing } = this.#options
    const urgency = this.#callers > 0 ? 'asked' : !this.#wasUp ? 'background' : attempt === 1 ? 'lost' : 'seen'
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        turn.end()
        reject(signal.reason)
      }
      let begun = false
      const turn: Turn = dials.take(urgency, () => {
        begun = true
        signal.removeEventListener('abort', abort)
        if (signal.aborted) return queueMicrotask(abort)
        dialing()
        queueMicrotask(() => resolve(turn))
      })
      this.#turn = turn
      if (signal.aborted) abort()
      else if (!begun) signal.addEventListener('abort', abort, { once: true })
    })
  }

  /** How long to wait before an attempt. */
  #delay(attempt: number, cause: unknown): number {
    const { reconnect, peerId, clock, attempt: how } = this.#options
    const error = errorOf(cause) as GlueberryError
    if (how.coolingDown()) return Number.POSITIVE_INFINITY // its end says when
    if (reconnect?.delay !== undefined) return reconnect.delay(attempt, { peerId, error })
    // A protocol error, by either side, would happen again: no attempt at once.
    const wait = this.#backoff(error.code === 'PROTOCOL' ? attempt + 1 : attempt)
    // The side that was dialed leaves the first try to the other: so they rarely dial at once.
    return attempt === 1 && this.#lastDirection === 'inbound' ? Math.max(wait, random(clock) * HEAD_START) : wait
  }

  #changed(state: ReconnectorState<Session>): void {
    const { clock, peerId, report, changed } = this.#options
    if (state.name === 'waiting') this.#retry = { attempt: state.attempt, at: clock.now() + state.delay }
    else if (state.name !== 'attempting') this.#retry = undefined
    if (state.name === 'failed' && state.error instanceof ReconnectError && state.error.code === 'INVALID_DELAY') {
      const text = `reconnect.${state.error.message}`
      report(new GlueberryError('INVALID_OPTION', text, { peerId, cause: state.error.cause }))
    }
    changed(state)
  }
}

/** There is nothing to dial. */
export function noAddress(peerId: PeerId): GlueberryError {
  return new GlueberryError('PEER_UNKNOWN', `no address of ${peerId} is known`, {
    peerId,
    hint: 'connect with a multiaddr, or add the peer with addPeer',
  })
}

/** A number from 0 to below 1. */
function random(clock: Clock): number {
  const bytes = clock.randomBytes(4)
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0) / 2 ** 32
}

/** The error for a caller, of whatever an attempt failed with. */
function errorOf(error: unknown): unknown {
  return error instanceof AttemptFailure ? error.reason.error : error
}
