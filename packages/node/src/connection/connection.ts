import type { ReconnectorState } from '@glueberry/reconnect'
import type { Cancellable } from '../clock.ts'
import { Condition } from '../condition.ts'
import { GlueberryError } from '../errors.ts'
import type { DisconnectReason } from '../events/events.ts'
import type { ReconnectSettings } from '../options/settings.ts'
import type { PeerId } from '../peer-id.ts'
import type { SessionEnd } from '../session/endings.ts'
import type { Session } from '../session/session.ts'
import type { Direction, Link } from '../transport/transport.ts'
import { Attempts, noAddress } from './attempts.ts'
import { Closings } from './closings.ts'
import type { Dials } from './dials.ts'
import { COOLING_DOWN, PeerSessions, type PeerSessionsOptions, type PeerSessionsOwner } from './peer-sessions.ts'
import { type ConnectionEvent, type ConnectionInput, type ConnectionState, INITIAL_STATE, transition } from './state.ts'

export interface ConnectionOptions extends PeerSessionsOptions {
  readonly connectTimeout: number
  readonly cooldown: number
  readonly reconnect: ReconnectSettings | undefined
  dial(address: string, signal: AbortSignal): Promise<Link>
  /** The state has changed, by this input; the events follow it. */
  changed(state: ConnectionState, events: readonly ConnectionEvent[], input: ConnectionInput): void
  /** No further attempt will be made. */
  gaveUp(): void
  /** Nothing is going on any more that could lead to a session. */
  idle(): void
  /** The right to dial, when it is this peer's turn. */
  readonly dials: Dials
  /** An earlier record of this peer has lost a session. */
  readonly outage: boolean
}

/** The way to one peer: its state, its sessions, and the attempts to have one. */
export class PeerConnection implements PeerSessionsOwner {
  readonly #options: ConnectionOptions
  readonly #attempts: Attempts
  readonly sessions: PeerSessions
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
    const { peerId, clock, context, connectTimeout, reconnect } = options
    this.#closings = new Closings(clock)
    this.sessions = new PeerSessions(options, this.#closings, this)
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
        coolingDown: () => this.coolingDown,
        open: (link, stream) => this.sessions.open(link, stream),
        outcome: async (signal) => {
          await this.#until(() => this.sessions.current !== undefined || !this.sessions.underWay, signal)
          return this.sessions.current
        },
        settled: (session, signal) => this.#until(() => session.established || session.ended, signal),
      },
      cooldownOver: async (signal) => {
        await this.#until(() => !this.coolingDown, signal)
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

  /** Whether something is going on that may lead to a session. */
  get busy(): boolean {
    return this.#attempts.busy || this.sessions.any
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
        else if (this.#tentative.delete(address) && this.sessions.current === undefined) this.removeAddresses([address])
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
      const replacing = this.sessions.underWay && this.#attempts.state === 'up'
      if (this.sessions.current !== undefined || (this.#attempts.possible && !replacing)) return true
      if (!this.sessions.underWay) throw noAddress(peerId)
      return false
    }
    while (!decided()) await this.#condition.until(decided, signal) // again: the call may be over since
    if (this.sessions.current !== undefined) return
    this.#checkCooldown()
    await this.#attempts.connect(signal)
  }

  /** Connects, and keeps connected. */
  keep(): void {
    if (this.#closedBy === undefined && this.#attempts.possible) this.#attempts.keep()
  }

  /** Ends what there is, in good order, and stops reconnecting; `error` is for callers that wait for an attempt. */
  disconnect(goodbye: 'stopped' | 'disconnected', error?: GlueberryError): void {
    const { peerId } = this.#options
    this.#disconnects++
    this.#closings.add(this.#attempts.cancel(error ?? calledOff(peerId)))
    this.sessions.goodbye(goodbye)
  }

  /** Resolves when no link is still being closed, and no attempt is still on its way out; each takes a bounded time. */
  async closed(): Promise<void> {
    await this.#closings.over()
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

  // What sessions tell.

  get coolingDown(): boolean {
    return this.#state.name === 'cooldown'
  }

  authenticated(direction: Direction): void {
    this.#apply({ type: 'authenticated', direction })
  }

  established(session: Session, resumed: boolean): void {
    this.#attempts.adopt(session)
    this.#apply({ type: 'established', direction: session.link.direction, resumed })
    this.#condition.notify()
  }

  alive(session: Session): void {
    this.#attempts.confirm(session)
  }

  lost({ reason, goodbye }: SessionEnd, direction: Direction): void {
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

  changed(): void {
    this.#condition.notify()
    if (!this.busy) this.#options.idle()
  }

  refused(reason: DisconnectReason): void {
    const { clock, cooldown } = this.#options
    this.#apply({ type: 'refused', until: clock.now() + cooldown, reason })
    this.#cooldownTimer?.cancel()
    this.#cooldownTimer = clock.setTimer(() => {
      this.#cooldownTimer = undefined
      this.#apply({ type: 'cooldown-over' })
      this.#condition.notify()
      this.#attempts.retryNow()
    }, cooldown)
    this.sessions.refuseAll(COOLING_DOWN)
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
        if (!this.sessions.underWay) this.#applyLost(this.#attempts.reason, state.delay)
        return
      case 'idle':
        if (!this.sessions.underWay) this.#applyLost() // else that session's end tells it
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
