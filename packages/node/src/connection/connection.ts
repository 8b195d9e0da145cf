import { AddressPool, backoff, ReconnectError, Reconnector, type ReconnectorState } from '@glueberry/reconnect'
import type { Acknowledgement, Ready, Refusal, Setup } from '@glueberry/wire'
import { withSignal } from '../async.ts'
import { type Cancellable, type Clock, deadline } from '../clock.ts'
import { GlueberryError } from '../errors.ts'
import type { Reason } from '../events.ts'
import type { ReconnectSettings } from '../options.ts'
import { type PeerId, peerIdBytes } from '../peer-id.ts'
import type { SessionEnd } from '../session/endings.ts'
import { Session, type SessionContext, type SessionOwner } from '../session/session.ts'
import { type ByteStream, type Link, SESSION_PROTOCOL } from '../transport.ts'
import { AttemptFailure, type AttemptOptions, attempt, combine } from './attempt.ts'
import { InstanceWatch } from './instance-watch.ts'
import { decides, SessionSet, sameInstance } from './session-set.ts'
import { type ConnectionEvent, type ConnectionInput, type ConnectionState, INITIAL_STATE, transition } from './state.ts'

/** What a connection brings to life and lets go of: the peer's streams. */
interface ConnectionStreams {
  /** This side is about to be ready for that instance of the peer; `undefined` when there is no memory for it. */
  begin(instance: Uint8Array): Omit<Ready, 'type'> | undefined
  /** Messages may flow; returns whether the peer resumed. Throws when its READY cannot be. */
  attach(session: Session): boolean
  /** The session is over; `orderly` when a goodbye has been said. */
  detach(orderly: boolean): void
  acknowledge(acknowledgements: readonly Acknowledgement[]): void
  acknowledgements(): Acknowledgement[]
}

export interface ConnectionOptions {
  readonly peerId: PeerId
  readonly ownPeerId: PeerId
  readonly clock: Clock
  readonly context: SessionContext
  readonly streams: ConnectionStreams
  readonly connectTimeout: number
  readonly cooldown: number
  readonly reconnect: ReconnectSettings | undefined
  dial(address: string, signal: AbortSignal): Promise<Link>
  /** This node's SETUP, but for what is this peer's own. */
  setup(): Omit<Setup, 'ended'>
  /** Why this peer is not wanted now, cooldown aside. */
  refuses(): Refusal | undefined
  /** The state has changed, by this input; the events follow it. */
  changed(state: ConnectionState, events: readonly ConnectionEvent[], input: ConnectionInput): void
  /** No further attempt will be made, for this reason. */
  gaveUp(): void
  /** Nothing is going on any more that could lead to a session. */
  idle(): void
}

/** How many addresses of a peer are tried. */
const ADDRESSES_MAX = 32
/** How long a goodbye may take to be read, in milliseconds. */
const LAST_WORD_TIMEOUT = 1000
/** After a loss the side that was dialed leaves the other so long to come back, at most, in milliseconds. */
const HEAD_START = 1000

/** The way to one peer: its state, its sessions, and the attempts to have one. */
export class PeerConnection implements SessionOwner {
  readonly #options: ConnectionOptions
  readonly #pool = new AddressPool<string>()
  readonly #reconnector: Reconnector<string, Session>
  readonly #backoff: (attempt: number) => number
  readonly #sessions: SessionSet<Session>
  readonly #instances = new InstanceWatch()
  /** The established one. */
  #current: Session | undefined
  /** Why the last attempt failed, or the last session ended. */
  #lastReason: Reason = { kind: 'local' }
  /** Why the established session went, while another one may still replace it. */
  #lost: SessionEnd | undefined
  /** Who dialed the last session that was established. */
  #lastDirection: 'inbound' | 'outbound' = 'outbound'
  /** The session whose keys are being renewed, or were last. */
  #renewed: Session | undefined
  /** How often `disconnect` was called: who waits since before is not waiting for what comes after. */
  #disconnects = 0
  #retryAt = 0 // of the wait in progress, in milliseconds since 1970
  #attemptEnd = 0 // of the connect time-out of the attempt in flight, by `clock.elapsed`
  #cooldownTimer: Cancellable | undefined // in state cooldown
  #state: ConnectionState = INITIAL_STATE
  /** Once it is disposed of. */
  #closedBy: GlueberryError | undefined
  /** Who waits for anything to change. */
  #waiters: (() => void)[] = []
  readonly #closing = new Set<Promise<void>>()

  constructor(options: ConnectionOptions) {
    this.#options = options
    this.#sessions = new SessionSet(decides(peerIdBytes(options.ownPeerId), peerIdBytes(options.peerId)))
    const { peerId, clock, context, reconnect } = options
    this.#backoff = backoff(reconnect ?? {}, () => random(clock))
    const attemptOptions: AttemptOptions = {
      peerId,
      clock,
      handshakeTimeout: context.handshakeTimeout,
      dial: options.dial,
      open: (link, stream) => this.#open(link, stream),
      outcome: async (signal) => {
        while (this.#current === undefined && this.#sessions.underWay) await this.#change(signal)
        return this.#current
      },
      settled: async (session, signal) => {
        while (!session.established && !session.ended) await this.#change(signal)
      },
    }
    this.#reconnector = new Reconnector<string, Session>({
      pool: this.#pool,
      clock,
      random: () => random(clock),
      maxAttempts: reconnect?.maxAttempts ?? -1,
      delay: (number, error) => this.#delay(number, error),
      attempt: async (address, signal, { tried }) => {
        await this.#cooldownOver(signal)
        if (tried === 0) this.#attemptEnd = clock.elapsed() + options.connectTimeout
        // Each address has its share of the time that is left: one that is silent leaves some for the next.
        const share = Math.max(0, this.#attemptEnd - clock.elapsed()) / Math.max(1, this.#pool.size - tried)
        try {
          return await attempt(attemptOptions, address, share, signal)
        } catch (error) {
          if (error instanceof AttemptFailure) this.#lastReason = error.reason
          throw error
        }
      },
      dispose: () => {}, // sessions are ended by what replaces them, and by `disconnect`
      // After the peer has proven who it is, it is not its address that fails.
      concernsAll: (error) => !GlueberryError.is(errorOf(error), 'CONNECT_FAILED', 'CONNECT_TIMEOUT'),
      combine: (errors) => {
        const failure = combine(peerId, errors as AttemptFailure[])
        this.#lastReason = failure.reason
        return failure
      },
      giveUp: (error, previous) =>
        error instanceof AttemptFailure &&
        previous instanceof AttemptFailure &&
        error.final &&
        previous.final &&
        error.reason.error.code === previous.reason.error.code,
      onState: (state) => this.#onAttempts(state),
    })
  }

  /** Where the peer may be, in the order in which it was learned. */
  get addresses(): string[] {
    return this.#pool.entries().map(({ address }) => address)
  }

  get state(): ConnectionState {
    return this.#state
  }

  /** The established session. */
  get current(): Session | undefined {
    return this.#current
  }

  /** Whether this side's application has accepted the peer, and said so: the peer may be established already. */
  get ready(): boolean {
    return this.#sessions.all.some((session) => session.readySent)
  }

  /** Whether something is going on that may lead to a session. */
  get busy(): boolean {
    const { name } = this.#reconnector.state
    return name === 'attempting' || name === 'waiting' || this.#sessions.size > 0
  }

  /** Of too many the one that failed most often is forgotten: a peer that moves again and again leaves a trail of them. */
  addAddresses(addresses: readonly string[]): void {
    for (const address of addresses) this.#pool.add(address)
    while (this.#pool.size > ADDRESSES_MAX) {
      const [worst] = this.#pool.entries().sort((a, b) => b.failures - a.failures)
      if (worst !== undefined) this.#pool.remove(worst.address)
    }
  }

  /** Resolves when established. One attempt at a time; who aborts leaves the others waiting. */
  async connect(addresses: readonly string[], signal: AbortSignal | undefined): Promise<void> {
    const { peerId } = this.#options
    signal?.throwIfAborted()
    if (this.#closedBy !== undefined) throw this.#closedBy
    this.addAddresses(addresses)
    const disconnects = this.#disconnects
    // Without an address there is only what the peer itself has begun; and a session that is just being replaced is waited for.
    while (this.#current === undefined) {
      const replacing = this.#sessions.underWay && this.#reconnector.state.name === 'up'
      if (this.#pool.size > 0 && !replacing) break
      if (!this.#sessions.underWay) throw noAddress(peerId)
      await this.#change(signal)
      if (this.#closedBy !== undefined) throw this.#closedBy
      if (this.#disconnects !== disconnects) throw calledOff(peerId)
    }
    if (this.#current !== undefined) return
    this.#checkCooldown()
    try {
      await this.#reconnector.connect({ signal })
    } catch (error) {
      throw errorOf(error)
    }
  }

  /** Connects, and keeps connected. */
  keep(): void {
    if (this.#closedBy === undefined && this.#pool.size > 0) this.#reconnector.keep()
  }

  /** An inbound session begins: on a link that has one in place, to renew its keys. */
  accept(link: Link, stream: ByteStream): void {
    this.#open(
      link,
      stream,
      this.#sessions.all.find((session) => session.link === link && session.readySent),
    )
  }

  /** The session that a data stream's header names, if it may use it now. */
  sessionOf(link: Link, tag: Uint8Array): Session | undefined {
    return this.#sessions.all.find((session) => session.link === link && session.readySent && session.keys.matches(tag))
  }

  /** Ends what there is, in good order, and stops reconnecting; `error` is for who waits for an attempt. */
  disconnect(goodbye: 'stopped' | 'disconnected', error?: GlueberryError): void {
    const { peerId } = this.#options
    this.#lastReason = { kind: 'local' }
    this.#disconnects++
    this.#close(this.#reconnector.cancel(error ?? calledOff(peerId)))
    for (const session of this.#sessions.all) session.goodbye(goodbye, { kind: 'local' })
  }

  /** Resolves when no link is still being closed, and no attempt is still on its way out; each takes a bounded time. */
  async closed(): Promise<void> {
    await Promise.all(this.#closing)
  }

  /** Names are accepted from now on: every session whose SETUP did not say so is told. */
  announceStreams(names: readonly string[]): void {
    for (const session of this.#sessions.all) session.announceStreams(names)
  }

  drain(): void {
    this.#apply({ type: 'drain' })
  }

  /** Nothing begins here any more, and no timer is left; `error` is for who still tries. */
  dispose(error: GlueberryError): void {
    this.#closedBy = error
    this.#close(this.#reconnector.close(error))
    this.#cooldownTimer?.cancel()
    this.#cooldownTimer = undefined
    this.#notify()
  }

  /** Tells the last state. Everything must have been ended before. */
  close(reason: 'removed' | 'blocked' | 'gave-up' | 'expired' | 'stopped'): void {
    this.#apply({ type: 'close', reason })
  }

  // What sessions tell.

  setup(): Setup {
    return { ...this.#options.setup(), ended: this.#sessions.endedIds }
  }

  refuses(): Refusal | undefined {
    if (this.#state.name === 'cooldown') return { code: 'cooldown', reason: 'it was refused a short while ago' }
    return this.#options.refuses()
  }

  onSetup(session: Session): void {
    const { clock, peerId } = this.#options
    for (const other of this.#sessions.overBy(session)) {
      const error = new GlueberryError('CONNECT_FAILED', `the connection to ${peerId} broke`, { peerId })
      other.abandon({ kind: 'io', error })
    }
    if (this.#instances.saw((session.remote as Setup).instance, clock.elapsed())) return this.#refuseTwins()
    if (this.#sessions.onSetup(session) === 'duplicate') return session.goodbye('duplicate', { kind: 'local' })
    this.#apply({ type: 'authenticated', direction: session.link.direction })
    const { renews } = session
    // The application has decided about this instance already.
    if (renews !== undefined && sameInstance(renews, session)) session.accept()
    else session.begin()
  }

  onProgress(session: Session): void {
    const verdict = this.#sessions.onProgress(session)
    if (verdict === 'ready') this.#makeReady(session)
    else if (verdict === 'duplicate') session.goodbye('duplicate', { kind: 'local' })
  }

  onEstablished(session: Session): void {
    this.#current = session
    let resumed: boolean
    try {
      resumed = this.#options.streams.attach(session)
    } catch (error) {
      return session.fail(error)
    }
    if (this.#current !== session) return // ended meanwhile
    this.#lost = undefined
    this.#lastDirection = session.link.direction
    this.#reconnector.adopt(session)
    const renewed = session.renews !== undefined && sameInstance(session.renews, session)
    this.#apply({ type: 'established', direction: session.link.direction, resumed, renewed })
    this.#notify()
  }

  onAlive(session: Session): void {
    this.#reconnector.confirm(session)
  }

  onKeysDue(session: Session): void {
    if (session !== this.#current || session === this.#renewed) return // one renewal at a time, whoever asks for it
    this.#renewed = session
    void this.#renew(session)
  }

  onAcknowledgements(session: Session, acknowledgements: readonly Acknowledgement[]): void {
    if (session === this.#current) this.#options.streams.acknowledge(acknowledgements)
  }

  acknowledgements(session: Session): Acknowledgement[] {
    return session === this.#current ? this.#options.streams.acknowledgements() : []
  }

  onEnd(session: Session, end: SessionEnd): void {
    this.#sessions.delete(session)
    const wasCurrent = this.#current === session
    if (wasCurrent) {
      this.#current = undefined
      if (end.goodbye !== 'replaced') this.#lost = end // else how its successor ends is what counts
    }
    if (session.readySent) this.#options.streams.detach(end.goodbye !== undefined)
    // A renewal that fails takes its connection with it: what it was to replace has had its time.
    if (session.renews?.ended === false && !session.wasEstablished) session.renews.fail(renewalError(session, end))
    this.#closeLink(session, end)

    if (end.refusal?.code === 'identity-in-use') this.#refuseTwins()
    else if (end.refusal?.code === 'application' && !this.#sessions.underWay) this.#coolDown(end.reason)
    this.#settleLoss(end, session.link.direction)
    this.#notify()
    if (!this.busy) this.#options.idle()
  }

  /** Two programs run with the peer's identity: neither is talked to for a while. */
  #refuseTwins(): void {
    const { peerId, context } = this.#options
    const refusal: Refusal = { code: 'identity-in-use', reason: 'two running programs have this identity' }
    const text = `two running programs have the identity ${peerId}, or that of this node`
    const error = new GlueberryError('IDENTITY_IN_USE', text, {
      peerId,
      hint: 'give each running program an identity of its own',
    })
    if (this.#state.name === 'cooldown') return
    context.report(error)
    for (const session of this.#sessions.all) session.refuse(refusal)
    this.#coolDown({ kind: 'authentication', error })
  }

  #coolDown(reason: Reason): void {
    const { clock, cooldown } = this.#options
    this.#apply({ type: 'refused', until: clock.now() + cooldown, reason })
    this.#cooldownTimer?.cancel()
    this.#cooldownTimer = clock.setTimer(() => {
      this.#cooldownTimer = undefined
      this.#apply({ type: 'cooldown-over' })
      this.#notify()
      this.#reconnector.retryNow()
    }, cooldown)
    for (const session of this.#sessions.all) session.refuse({ code: 'cooldown', reason: 'it was just refused' })
  }

  /** An attempt that has begun waits for the end of a cooldown. */
  async #cooldownOver(signal: AbortSignal): Promise<void> {
    if (this.#state.name !== 'cooldown') return
    while (this.#state.name === 'cooldown') await this.#change(signal)
    this.#apply({ type: 'dial' })
  }

  #checkCooldown(): void {
    const { name, until } = this.#state
    if (name !== 'cooldown' || until === undefined) return
    const { peerId } = this.#options
    const text = `${peerId} is left alone until ${new Date(until).toISOString()}, after a refusal`
    throw new GlueberryError('COOLDOWN', text, { peerId })
  }

  /** How long to wait before an attempt. */
  #delay(attempt: number, cause: unknown): number {
    const { reconnect, peerId, clock } = this.#options
    const error = errorOf(cause) as GlueberryError
    if (this.#state.name === 'cooldown') return Number.POSITIVE_INFINITY // its end says when
    if (reconnect?.delay !== undefined) return reconnect.delay(attempt, { peerId, error })
    // Who broke the protocol, or found that we did, will do so again: no attempt at once.
    const wait = this.#backoff(error.code === 'PROTOCOL' ? attempt + 1 : attempt)
    // The side that was dialed leaves the first try to the other: so they rarely dial at once.
    return attempt === 1 && this.#lastDirection === 'inbound' ? Math.max(wait, random(clock) * HEAD_START) : wait
  }

  #onAttempts(state: ReconnectorState<Session>): void {
    switch (state.name) {
      case 'attempting':
        return this.#apply({ type: 'dial' })
      case 'waiting':
        this.#retryAt = this.#options.clock.now() + state.delay
        if (!this.#sessions.underWay) this.#applyLost()
        return
      case 'idle':
        if (!this.#sessions.underWay) this.#applyLost() // else that session's end tells it
        if (!this.busy) this.#options.idle()
        return
      case 'failed':
        if (state.error instanceof ReconnectError && state.error.code === 'INVALID_DELAY') {
          const { peerId, context } = this.#options
          const text = `reconnect.${state.error.message}`
          context.report(new GlueberryError('INVALID_OPTION', text, { peerId, cause: state.error.cause }))
        }
        this.#applyLost()
        return this.#options.gaveUp()
    }
  }

  #applyLost(): void {
    const { state } = this.#reconnector
    const reason = this.#lastReason
    if (state.name !== 'waiting') return this.#apply({ type: 'lost', reason })
    const at = this.#retryAt
    const delay = Math.max(0, at - this.#options.clock.now()) // what is left of it
    this.#apply({ type: 'lost', reason, retry: { attempt: state.attempt, delay, at } })
  }

  /** `disconnected` comes when nothing is left that could replace the session. */
  #settleLoss(end: SessionEnd, direction: 'inbound' | 'outbound'): void {
    if (this.#sessions.underWay) return
    const { reason, goodbye } = this.#lost ?? end
    this.#lost = undefined
    const { state } = this.#reconnector
    if (state.name === 'attempting') {
      // The attempt's own session: its end tells it. One that had come in while it waited: now it dials after all.
      if (direction === 'outbound' || this.#state.name !== 'connected') return
      this.#apply({ type: 'lost', reason })
      return this.#apply({ type: 'dial' })
    }
    if (state.name === 'waiting' && this.#state.name === 'reconnecting') return // told already
    this.#lastReason = reason
    if (state.name !== 'up') return this.#applyLost()
    // A peer that said it wants no session now is not called back: whoever wants one again connects.
    const wanted = this.#options.reconnect !== undefined && this.#pool.size > 0 && goodbye !== 'disconnected'
    const { peerId } = this.#options
    const error = reason.error ?? new GlueberryError('CONNECT_FAILED', `the session with ${peerId} ended`, { peerId })
    if (wanted) this.#reconnector.lost(state.connection, error)
    else void this.#reconnector.cancel(error)
  }

  #open(link: Link, stream: ByteStream, renews?: Session): Session {
    const session = new Session(link, stream, this.#options.context, this, renews)
    this.#sessions.add(session)
    void session.run()
    return session
  }

  /** Fresh keys: a whole new session on the same link, which then replaces this one. */
  async #renew(session: Session): Promise<void> {
    if (session.link.direction === 'inbound') return session.requestRenewal()
    const { clock, context } = this.#options
    const limit = deadline(clock, context.handshakeTimeout, () => renewalError(session, undefined))
    try {
      const stream = await session.link.openStream(SESSION_PROTOCOL, limit.signal)
      if (session.ended) stream.abort(new Error('the session is over'))
      else this.#open(session.link, stream, session)
    } catch (error) {
      session.fail(error)
    } finally {
      limit.cancel()
    }
  }

  #makeReady(session: Session): void {
    for (const rival of this.#sessions.rivals(session)) rival.goodbye('replaced', { kind: 'local' })
    const ready = this.#options.streams.begin((session.remote as Setup).instance)
    if (ready === undefined) {
      return session.refuse({ code: 'busy', reason: 'it has no memory for another peer' })
    }
    session.sendReady({ type: 'ready', ...ready })
  }

  #closeLink(session: Session, { reason, goodbye, refusal }: SessionEnd): void {
    for (const other of this.#sessions.all) if (other.link === session.link) return
    if (goodbye === undefined && refusal === undefined) {
      return session.link.abort(reason.error ?? new Error('the session is over'))
    }
    this.#close(this.#closeOrderly(session))
  }

  /** `closed` waits for it. */
  #close(ending: Promise<void>): void {
    const closing = ending.finally(() => this.#closing.delete(closing))
    this.#closing.add(closing)
  }

  /**
   * The last word must arrive: who closes a socket that still has unread bytes makes TCP cut it, and what the other
   * side has not read yet is lost. So wait, a bounded time, until it has closed its side of the control stream.
   */
  async #closeOrderly(session: Session): Promise<void> {
    const { clock } = this.#options
    const limit = deadline(clock, LAST_WORD_TIMEOUT, () => new Error('no answer to the goodbye'))
    await withSignal(session.remoteEnded, limit.signal).catch(() => {})
    limit.cancel()
    await session.link.close()
  }

  #change(signal: AbortSignal | undefined): Promise<void> {
    if (this.#closedBy !== undefined) return Promise.reject(this.#closedBy)
    return withSignal(new Promise((resolve) => this.#waiters.push(resolve)), signal)
  }

  #notify(): void {
    for (const waiter of this.#waiters.splice(0)) waiter()
  }

  #apply(input: ConnectionInput): void {
    const { state, events } = transition(this.#state, input)
    const before = this.#state
    this.#state = state
    if (state !== before || events.length > 0) this.#options.changed(state, events, input)
  }
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

function calledOff(peerId: PeerId): GlueberryError {
  return new GlueberryError('CONNECT_FAILED', 'the attempt was called off', { peerId })
}

function noAddress(peerId: PeerId): GlueberryError {
  return new GlueberryError('PEER_UNKNOWN', `no address of ${peerId} is known`, {
    peerId,
    hint: 'connect with a multiaddr, or add the peer with addPeer',
  })
}

function renewalError({ peerId }: Session, end: SessionEnd | undefined): GlueberryError {
  return new GlueberryError('CONNECT_FAILED', `the keys of the session with ${peerId} could not be renewed`, {
    peerId,
    cause: end?.reason.error,
  })
}
