import type { ReconnectorState } from '@glueberry/reconnect'
import type { Ready, Refusal, Setup } from '@glueberry/wire'
import { type Cancellable, type Clock, deadline } from '../clock.ts'
import { Condition } from '../condition.ts'
import { GlueberryError } from '../errors.ts'
import type { DisconnectReason } from '../events/events.ts'
import { Allowance } from '../limits/allowance.ts'
import type { ReconnectSettings } from '../options/settings.ts'
import { type PeerId, peerIdBytes } from '../peer-id.ts'
import type { SessionEnd } from '../session/endings.ts'
import { Session } from '../session/session.ts'
import type { SessionContext, SessionOwner } from '../session/session-owner.ts'
import type { StreamsPort } from '../session-port.ts'
import { type ByteStream, type Link, SESSION_PROTOCOL } from '../transport/transport.ts'
import { Attempts, noAddress } from './attempts.ts'
import { Closings } from './closings.ts'
import type { Dials } from './dials.ts'
import { InstanceWatch } from './instance-watch.ts'
import { decides, SessionSet, sameInstance } from './session-set.ts'
import { type ConnectionEvent, type ConnectionInput, type ConnectionState, INITIAL_STATE, transition } from './state.ts'

export interface ConnectionOptions {
  readonly peerId: PeerId
  readonly ownPeerId: PeerId
  readonly clock: Clock
  readonly context: SessionContext
  readonly streams: StreamsPort
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
  /** No further attempt will be made. */
  gaveUp(): void
  /** Nothing is going on any more that could lead to a session. */
  idle(): void
  /** It is in the address book, or was established once. */
  known(): boolean
  /** The right to dial, when it is this peer's turn. */
  readonly dials: Dials
  /** What is left of it from an earlier record of this peer. */
  readonly allowance: Allowance | undefined
  /** An earlier record of this peer has lost a session. */
  readonly outage: boolean
  /** Ids of sessions that an earlier record of this peer has had. */
  readonly endedIds: readonly Uint8Array[]
}

/** Requests that bring nobody a message (docs/protocol.md): at once, and in each second. An honest peer makes a few. */
const [REQUESTS, REQUESTS_PER_SECOND] = [2000, 500]
/** What the keys of a session cost, in requests; and a renewal that comes sooner than an honest peer needs it. */
const [SESSION_COST, EARLY_RENEWAL_COST] = [20, 400]
/** Sessions on one connection that are not established: the first, or a renewal and the one that it renews. */
const UNDER_WAY_MAX = 2

const NO_MEMORY: Refusal = { code: 'busy', reason: 'it has no memory for another peer' }
const COOLING_DOWN: Refusal = { code: 'cooldown', reason: 'it was refused a short while ago' }

/** The way to one peer: its state, its sessions, and the attempts to have one. */
export class PeerConnection implements SessionOwner<Session> {
  readonly #options: ConnectionOptions
  readonly #attempts: Attempts
  readonly #sessions: SessionSet<Session>
  readonly #instances = new InstanceWatch()
  readonly allowance: Allowance
  /** The established one. */
  #current: Session | undefined
  /** Why the established session went, while another one may still replace it. */
  #lost: SessionEnd | undefined
  /** How often `disconnect` was called: a `connect` that began before one rejects, and does not take a later session. */
  #disconnects = 0
  #cooldownTimer: Cancellable | undefined // in state cooldown
  #state: ConnectionState
  /** Once it is disposed of. */
  #closedBy: GlueberryError | undefined
  /** Addresses that only calls of `connect` have given which are still under way, and how many of them. */
  readonly #tentative = new Map<string, number>()
  /** What is waited for here depends on the state and the sessions. */
  readonly #condition = new Condition()
  readonly #closings: Closings

  constructor(options: ConnectionOptions) {
    this.#options = options
    this.#state = options.outage ? { ...INITIAL_STATE, outage: true } : INITIAL_STATE
    this.#sessions = new SessionSet(
      decides(peerIdBytes(options.ownPeerId), peerIdBytes(options.peerId)),
      options.endedIds,
    )
    const { peerId, clock, context, connectTimeout, reconnect } = options
    this.allowance = options.allowance ?? new Allowance(clock, REQUESTS, REQUESTS_PER_SECOND)
    this.#closings = new Closings(clock)
    this.#attempts = new Attempts({
      peerId,
      clock,
      connectTimeout,
      reconnect,
      logger: context.logger,
      dials: options.dials,
      dialing: () => this.#apply({ type: 'dial' }),
      attempt: {
        peerId,
        clock,
        handshakeTimeout: context.handshakeTimeout,
        dial: options.dial,
        coolingDown: () => this.#state.name === 'cooldown',
        open: (link, stream) => this.#open(link, stream),
        outcome: async (signal) => {
          await this.#until(() => this.#current !== undefined || !this.#sessions.underWay, signal)
          return this.#current
        },
        settled: (session, signal) => this.#until(() => session.established || session.ended, signal),
      },
      cooldownOver: async (signal) => {
        await this.#until(() => this.#state.name !== 'cooldown', signal)
        this.#apply({ type: 'dial' })
      },
      report: context.report,
      changed: (state) => this.#onAttempts(state),
    })
  }

  /** Where the peer may be, in the order in which it was learned. */
  get addresses(): string[] {
    return this.#attempts.addresses
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
    return this.#attempts.busy || this.#sessions.size > 0
  }

  /** Known from elsewhere than a call of `connect`: they stay. */
  addAddresses(addresses: readonly string[]): void {
    this.#attempts.addAddresses(addresses)
    for (const address of addresses) this.#tentative.delete(address)
  }

  removeAddresses(addresses: readonly string[]): void {
    this.#attempts.removeAddresses(addresses)
  }

  /** Resolves when established. One attempt at a time; a caller that aborts leaves the others waiting. Addresses of a call that fails are forgotten again. */
  async connect(addresses: readonly string[], signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted()
    this.#checkOpen()
    const added = new Set(this.#attempts.addAddresses(addresses))
    const tentative = addresses.filter((address) => added.has(address) || this.#tentative.has(address))
    for (const address of tentative) this.#tentative.set(address, (this.#tentative.get(address) ?? 0) + 1)
    try {
      await this.#connect(signal)
      for (const address of tentative) this.#tentative.delete(address)
    } finally {
      for (const address of tentative) {
        const left = (this.#tentative.get(address) ?? 0) - 1
        if (left > 0) this.#tentative.set(address, left)
        else if (this.#tentative.delete(address) && this.#current === undefined) this.removeAddresses([address])
      }
    }
  }

  async #connect(signal: AbortSignal | undefined): Promise<void> {
    const { peerId } = this.#options
    const disconnects = this.#disconnects
    // Without an address there is only what the peer itself has begun; and a session that is just being replaced is waited for.
    const decided = (): boolean => {
      this.#checkOpen()
      if (this.#disconnects !== disconnects) throw calledOff(peerId)
      const replacing = this.#sessions.underWay && this.#attempts.state === 'up'
      if (this.#current !== undefined || (this.#attempts.possible && !replacing)) return true
      if (!this.#sessions.underWay) throw noAddress(peerId)
      return false
    }
    while (!decided()) await this.#until(decided, signal)
    if (this.#current !== undefined) return
    this.#checkCooldown()
    await this.#attempts.connect(signal)
  }

  /** Connects, and keeps connected. */
  keep(): void {
    if (this.#closedBy === undefined && this.#attempts.possible) this.#attempts.keep()
  }

  /** An inbound session begins: on a link that has one in place, to renew its keys. */
  accept(link: Link, stream: ByteStream): void {
    const onLink = this.#sessions.all.filter((session) => session.link === link)
    const renews = onLink.find((session) => session.readySent)
    const early = renews !== undefined && !renews.mayBeRenewed
    const underWay = onLink.filter(({ established }) => !established).length
    if (underWay >= UNDER_WAY_MAX || !this.allowance.take(early ? EARLY_RENEWAL_COST : SESSION_COST)) {
      this.#tooMuch()
      link.abort(this.#tooMuchError())
      return
    }
    this.#open(link, stream, renews)
  }

  /** Whether the peer may send on this connection: a session on it is ready here. */
  acceptsStreams(link: Link): boolean {
    return this.#sessions.all.some((session) => session.link === link && session.readySent)
  }

  /** A data stream of no session has come. */
  stray(): void {
    if (!this.allowance.take()) this.#tooMuch()
  }

  /** Whether something has come on this connection, in an established session, within so many milliseconds. */
  hears(link: Link, within: number): boolean {
    const current = this.#current
    return current !== undefined && current.link === link && current.quietFor < within
  }

  /** The session that a data stream's header names, if it may use it now. */
  sessionOf(link: Link, tag: Uint8Array): Session | undefined {
    return this.#sessions.all.find((session) => session.link === link && session.readySent && session.isNamedBy(tag))
  }

  /** Ends what there is, in good order, and stops reconnecting; `error` is for callers that wait for an attempt. */
  disconnect(goodbye: 'stopped' | 'disconnected', error?: GlueberryError): void {
    const { peerId } = this.#options
    this.#disconnects++
    this.#closings.add(this.#attempts.cancel(error ?? calledOff(peerId)))
    for (const session of this.#sessions.all) session.goodbye(goodbye, { kind: 'local' })
  }

  /** Resolves when no link is still being closed, and no attempt is still on its way out; each takes a bounded time. */
  async closed(): Promise<void> {
    await this.#closings.over()
  }

  /** Names are accepted from now on: every session whose SETUP did not say so is told. */
  announceStreams(names: readonly string[]): void {
    for (const session of this.#sessions.all) session.announceStreams(names)
  }

  /** Names are accepted no longer. */
  withdrawStreams(names: readonly string[]): void {
    for (const session of this.#sessions.all) session.withdrawStreams(names)
  }

  /** The peer is to set up a new session at once, which says what this one cannot. */
  restart(): void {
    for (const session of this.#sessions.all) if (session.readySent) session.goodbye('stopped', { kind: 'local' })
  }

  drain(): void {
    this.#apply({ type: 'drain' })
  }

  /** Nothing begins here any more, and no timer is left; `error` is for calls of `connect`. */
  dispose(error: GlueberryError): void {
    this.#closedBy = error
    this.#closings.add(this.#attempts.close(error))
    this.#cooldownTimer?.cancel()
    this.#cooldownTimer = undefined
    this.#condition.notify()
  }

  /** Tells the last state. Everything must have been ended before. */
  close(reason: 'removed' | 'blocked' | 'gave-up' | 'expired' | 'stopped'): void {
    this.#apply({ type: 'close', reason })
  }

  /** Ids of the last sessions that were set up here and have ended, the last one first. */
  get endedIds(): readonly Uint8Array[] {
    return this.#sessions.endedIds
  }

  // What sessions tell.

  setup(): Setup {
    return { ...this.#options.setup(), ended: this.#sessions.endedIds }
  }

  refuses(): Refusal | undefined {
    if (this.#state.name === 'cooldown') return COOLING_DOWN
    return this.#options.refuses()
  }

  onRequest(): void {
    if (!this.allowance.take()) throw this.#tooMuchError()
  }

  onSetup(session: Session): void {
    const { peerId } = this.#options
    for (const other of this.#sessions.overBy(session)) {
      const error = new GlueberryError('CONNECT_FAILED', `the connection to ${peerId} broke`, { peerId })
      other.abandon({ kind: 'io', error })
    }
    if (this.#state.name === 'cooldown') return session.refuse(COOLING_DOWN) // it began while this session was on its way
    if (this.#sessions.onSetup(session) === 'duplicate') return session.goodbye('duplicate', { kind: 'local' })
    this.#apply({ type: 'authenticated', direction: session.link.direction })
    const { renews } = session
    // The application has decided about this instance already.
    if (renews !== undefined && sameInstance(renews, session)) session.accept()
    else session.begin()
  }

  onProgress(session: Session, { instance }: Setup): void {
    const verdict = this.#sessions.onProgress(session)
    if (verdict === 'ready') this.#makeReady(session, instance)
    else if (verdict === 'duplicate') session.goodbye('duplicate', { kind: 'local' })
  }

  onEstablished(session: Session, ready: Ready): void {
    this.#current = session
    let resumed: boolean
    try {
      resumed = this.#options.streams.attach(session, ready)
    } catch (error) {
      return GlueberryError.is(error, 'BUSY') ? session.refuse(NO_MEMORY) : session.fail(error)
    }
    if (this.#current !== session) return // ended meanwhile
    this.#lost = undefined
    this.#attempts.adopt(session)
    this.#apply({ type: 'established', direction: session.link.direction, resumed })
    this.#condition.notify()
  }

  onAlive(session: Session): void {
    this.#attempts.confirm(session)
  }

  onAnswered(session: Session, { instance }: Setup): void {
    if (session !== this.#current) return
    const { clock, peerId } = this.#options
    if (this.#instances.saw(instance, clock.elapsed()))
      this.#refuseTwins(`two running programs have the identity ${peerId}`)
  }

  onKeysDue(session: Session): void {
    if (session === this.#current) void this.#renew(session)
  }

  get streams(): StreamsPort {
    return this.#options.streams
  }

  get known(): boolean {
    return this.#options.known()
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
    if (this.#sessions.all.every(({ link }) => link !== session.link)) this.#closings.closeLink(session, end)

    // A stranger that dialed can say so of anybody: only peers that this node dialed, or knows, are believed.
    const believed = session.link.direction === 'outbound' || this.known
    if (end.refusal?.code === 'identity-in-use' && end.refusal.by === 'them' && believed)
      this.#refuseTwins(`two running programs have this node's identity, says ${session.peerId}`)
    else if (end.refusal?.code === 'application' && !this.#sessions.underWay) this.#coolDown(end.reason)
    this.#settleLoss(end, session.link.direction)
    this.#condition.notify()
    if (!this.busy) this.#options.idle()
  }

  /** Two programs run with one identity, the peer's or our own: neither is talked to for a while. */
  #refuseTwins(text: string): void {
    if (this.#state.name === 'cooldown') return
    const { peerId, context } = this.#options
    const refusal: Refusal = { code: 'identity-in-use', reason: 'two running programs have this identity' }
    const error = new GlueberryError('IDENTITY_IN_USE', text, {
      peerId,
      hint: 'give each running program an identity of its own',
    })
    context.report(error)
    for (const session of this.#sessions.all) session.refuse(refusal)
    this.#coolDown({ kind: 'authentication', error })
  }

  #tooMuch(): void {
    for (const session of this.#sessions.all) session.fail(this.#tooMuchError())
  }

  #tooMuchError(): GlueberryError {
    const { peerId } = this.#options
    return new GlueberryError('PROTOCOL', `${peerId} asks for more than anyone needs`, { peerId })
  }

  #coolDown(reason: DisconnectReason): void {
    const { clock, cooldown } = this.#options
    this.#apply({ type: 'refused', until: clock.now() + cooldown, reason })
    this.#cooldownTimer?.cancel()
    this.#cooldownTimer = clock.setTimer(() => {
      this.#cooldownTimer = undefined
      this.#apply({ type: 'cooldown-over' })
      this.#condition.notify()
      this.#attempts.retryNow()
    }, cooldown)
    for (const session of this.#sessions.all) session.refuse(COOLING_DOWN)
  }

  #checkCooldown(): void {
    const { name, until } = this.#state
    if (name !== 'cooldown' || until === undefined) return
    const { peerId } = this.#options
    const text = `${peerId} is left alone until ${new Date(until).toISOString()}, after a refusal`
    throw new GlueberryError('COOLDOWN', text, { peerId })
  }

  #onAttempts(state: ReconnectorState<Session>): void {
    switch (state.name) {
      case 'attempting':
        return // `dialing` tells when it has its turn
      case 'waiting':
        if (!this.#sessions.underWay) this.#applyLost(this.#attempts.reason, state.delay)
        return
      case 'idle':
        if (!this.#sessions.underWay) this.#applyLost() // else that session's end tells it
        if (!this.busy) this.#options.idle()
        return
      case 'failed':
        this.#applyLost()
        return this.#options.gaveUp()
    }
  }

  /** @param delay of a wait that begins now; of one in progress it is what is left */
  #applyLost(reason: DisconnectReason = this.#attempts.reason, delay?: number): void {
    const { retry } = this.#attempts
    this.#apply({
      type: 'lost',
      reason,
      ...(retry === undefined ? {} : { retry: { ...retry, delay: delay ?? retry.delay } }),
    })
  }

  /** `disconnected` comes when nothing is left that could replace the session. */
  #settleLoss(end: SessionEnd, direction: 'inbound' | 'outbound'): void {
    if (this.#sessions.underWay) return
    const { reason, goodbye } = this.#lost ?? end
    this.#lost = undefined
    switch (this.#attempts.state) {
      case 'up':
        // A peer that said it wants no session now is not called back, until a call of `connect`.
        return this.#attempts.lost(reason, goodbye !== 'disconnected')
      case 'attempting':
        // The attempt's own session: its end tells it. One that had come in while it waited: now it dials after all.
        if (direction === 'outbound' || this.#state.name !== 'connected') return
        this.#applyLost(reason)
        return this.#apply({ type: 'dial' })
      case 'waiting':
        if (this.#state.name !== 'reconnecting') this.#applyLost(reason) // else it is told already
        return
      default:
        this.#applyLost(reason)
    }
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

  #makeReady(session: Session, instance: Uint8Array): void {
    for (const rival of this.#sessions.rivals(session)) rival.goodbye('replaced', { kind: 'local' })
    const ready = this.#options.streams.begin(instance)
    if (ready === undefined) {
      return session.refuse(NO_MEMORY)
    }
    session.sendReady({ type: 'ready', ...ready })
  }

  /** Rejects once this is disposed of. */
  #until(holds: () => boolean, signal: AbortSignal | undefined): Promise<void> {
    return this.#condition.until(() => {
      this.#checkOpen()
      return holds()
    }, signal)
  }

  #checkOpen(): void {
    if (this.#closedBy !== undefined) throw this.#closedBy
  }

  #apply(input: ConnectionInput): void {
    const { state, events } = transition(this.#state, input)
    const before = this.#state
    this.#state = state
    if (state !== before || events.length > 0) this.#options.changed(state, events, input)
  }
}

function calledOff(peerId: PeerId): GlueberryError {
  return new GlueberryError('CONNECT_FAILED', 'the attempt was called off', { peerId })
}

function renewalError({ peerId }: Session, end: SessionEnd | undefined): GlueberryError {
  return new GlueberryError('CONNECT_FAILED', `the keys of the session with ${peerId} could not be renewed`, {
    peerId,
    cause: end?.reason.error,
  })
}
