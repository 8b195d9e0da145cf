import { type Acknowledgement, ENDED_MAX, equalBytes, type Ready, type Refusal, type Setup } from '@glueberry/wire'
import { withSignal } from '../async.ts'
import { type Cancellable, type Clock, deadline } from '../clock.ts'
import { GlueberryError } from '../errors.ts'
import type { Reason } from '../events.ts'
import { type PeerId, peerIdBytes } from '../peer-id.ts'
import type { SessionEnd } from '../session/endings.ts'
import { Session, type SessionContext, type SessionOwner } from '../session/session.ts'
import type { ByteStream, Link } from '../transport.ts'
import { arbitrate, decides } from './arbitration.ts'
import { Dialer } from './dialer.ts'
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
  dial(address: string, signal: AbortSignal): Promise<Link>
  /** This node's SETUP, but for what is this peer's own. */
  setup(): Omit<Setup, 'ended'>
  /** Why this peer is not wanted now, cooldown aside. */
  refuses(): Refusal | undefined
  /** The state has changed; the events follow it. */
  changed(state: ConnectionState, events: readonly ConnectionEvent[]): void
  /** Nothing is going on any more that could lead to a session. */
  idle(): void
}

/** How long a goodbye may take to be read, in milliseconds. */
const LAST_WORD_TIMEOUT = 1000

/** The way to one peer: its state, its sessions, and which of them lives. */
export class PeerConnection implements SessionOwner {
  readonly #options: ConnectionOptions
  readonly #decides: boolean
  readonly #dialer: Dialer
  readonly #sessions = new Set<Session>()
  /** Ids of the last sessions that were set up here and have ended. */
  #endedIds: Uint8Array[] = []
  /** At the decider: the session that others would be duplicates of. */
  #chosen: Session | undefined
  /** The established one. */
  #current: Session | undefined
  #cooldownTimer: Cancellable | undefined // in state cooldown
  #state: ConnectionState = INITIAL_STATE
  /** Once it is disposed of. */
  #closedBy: GlueberryError | undefined
  /** Who waits for anything to change. */
  #waiters: (() => void)[] = []
  readonly #closing = new Set<Promise<void>>()
  /** Why the established session went, while another one may still replace it. */
  #lostReason: Reason | undefined

  constructor(options: ConnectionOptions) {
    this.#options = options
    this.#decides = decides(peerIdBytes(options.ownPeerId), peerIdBytes(options.peerId))
    const { peerId, clock, connectTimeout, context, dial } = options
    this.#dialer = new Dialer({
      peerId,
      clock,
      connectTimeout,
      handshakeTimeout: context.handshakeTimeout,
      dial,
      open: (link, stream) => this.#open(link, stream),
      established: () => this.#current !== undefined,
      underWay: () => this.#underWay,
      change: (signal) => withSignal(new Promise((resolve) => this.#waiters.push(resolve)), signal),
      began: () => this.#apply({ type: 'dial' }),
      failed: (reason) => {
        if (!this.#underWay) this.#apply({ type: 'lost', reason }) // else that session's end tells it
      },
      over: () => {
        if (!this.busy) options.idle()
      },
    })
  }

  /** Where the peer may be. */
  get addresses(): Set<string> {
    return this.#dialer.addresses
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
    return [...this.#sessions].some((session) => session.readySent)
  }

  /** Whether something is going on that may lead to a session. */
  get busy(): boolean {
    return this.#dialer.busy || this.#sessions.size > 0
  }

  /** Resolves when established. One attempt at a time; who aborts leaves the others waiting. */
  async connect(addresses: readonly string[], signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted()
    if (this.#closedBy !== undefined) throw this.#closedBy
    for (const address of addresses) this.#dialer.addresses.add(address)
    if (this.#current !== undefined) return
    const { peerId } = this.#options
    const { until } = this.#state
    if (this.#state.name === 'cooldown' && until !== undefined) {
      throw new GlueberryError(
        'COOLDOWN',
        `${peerId} is left alone until ${new Date(until).toISOString()}, after a refusal`,
        { peerId },
      )
    }
    const { dying } = this.#dialer
    if (dying !== undefined) {
      await withSignal(dying, signal)
      return this.connect([], signal) // and look at everything again
    }
    await this.#dialer.connect(signal)
  }

  /** An inbound session begins. */
  accept(link: Link, stream: ByteStream): void {
    this.#open(link, stream)
  }

  /** The session that a data stream's header names, if it may use it now. */
  sessionOf(link: Link, tag: Uint8Array): Session | undefined {
    for (const session of this.#sessions) {
      if (session.link === link && session.readySent && session.keys.matches(tag)) return session
    }
    return undefined
  }

  /** Ends what there is, in good order; `error` is for who waits for an attempt. */
  disconnect(goodbye: 'stopped' | 'disconnected', error?: GlueberryError): void {
    const { peerId } = this.#options
    this.#dialer.abort(error ?? new GlueberryError('CONNECT_FAILED', 'the attempt was called off', { peerId }))
    for (const session of [...this.#sessions]) session.goodbye(goodbye, { kind: 'local' })
  }

  /** Resolves when no link is still being closed; each takes a bounded time. */
  async closed(): Promise<void> {
    await Promise.all(this.#closing)
  }

  /** Names are accepted from now on: every session whose SETUP did not say so is told. */
  announceStreams(names: readonly string[]): void {
    for (const session of this.#sessions) session.announceStreams(names)
  }

  drain(): void {
    this.#apply({ type: 'drain' })
  }

  /** Nothing begins here any more, and no timer is left; `error` is for who still tries. */
  dispose(error: GlueberryError): void {
    this.#closedBy = error
    this.#cooldownTimer?.cancel()
    this.#cooldownTimer = undefined
  }

  /** Tells the last state. Everything must have been ended before. */
  close(reason: 'removed' | 'blocked' | 'gave-up' | 'expired' | 'stopped'): void {
    this.#apply({ type: 'close', reason })
  }

  // What sessions tell.

  setup(): Setup {
    return { ...this.#options.setup(), ended: this.#endedIds }
  }

  refuses(): Refusal | undefined {
    if (this.#state.name === 'cooldown') return { code: 'cooldown', reason: 'it was refused a short while ago' }
    return this.#options.refuses()
  }

  onSetup(session: Session): void {
    const setup = session.remote as Setup
    for (const id of setup.ended) {
      for (const other of [...this.#sessions]) {
        if (other !== session && other.id !== undefined && equalBytes(other.id, id)) {
          other.abandon({
            kind: 'io',
            error: new GlueberryError('CONNECT_FAILED', `the connection to ${session.peerId} broke`, {
              peerId: session.peerId,
            }),
          })
        }
      }
    }
    const verdict = arbitrate(this.#decides, this.#chosen?.remote, setup)
    if (verdict === 'duplicate') return session.goodbye('duplicate', { kind: 'local' })
    if (verdict === 'choose') this.#chosen = session
    this.#apply({ type: 'authenticated', direction: session.link.direction })
    session.begin()
  }

  onAccepted(session: Session): void {
    if (!this.#decides) {
      if (session.remoteReady !== undefined) this.#makeReady(session)
    } else if (session === this.#chosen) this.#makeReady(session)
    else session.goodbye('duplicate', { kind: 'local' }) // another one was chosen while the application thought
  }

  onReady(session: Session): void {
    if (!this.#decides && session.accepted) this.#makeReady(session)
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
    this.#lostReason = undefined
    this.#apply({ type: 'established', direction: session.link.direction, resumed })
    this.#notify()
  }

  onAcknowledgements(session: Session, acknowledgements: readonly Acknowledgement[]): void {
    if (session === this.#current) this.#options.streams.acknowledge(acknowledgements)
  }

  acknowledgements(session: Session): Acknowledgement[] {
    return session === this.#current ? this.#options.streams.acknowledgements() : []
  }

  onEnd(session: Session, end: SessionEnd): void {
    const { streams } = this.#options
    this.#sessions.delete(session)
    if (session.id !== undefined) this.#endedIds = [session.id, ...this.#endedIds].slice(0, ENDED_MAX)
    if (this.#chosen === session) this.#chosen = undefined
    const wasCurrent = this.#current === session
    if (wasCurrent) this.#current = undefined
    if (session.readySent) streams.detach(end.goodbye !== undefined)
    this.#closeLink(session, end)

    if (end.refusal?.code === 'application' && !this.#underWay) this.#coolDown(end.reason)
    if (wasCurrent) this.#lostReason = end.reason
    this.#settleLoss(end.reason)
    this.#notify()
    if (!this.busy) this.#options.idle()
  }

  /** Whether there is a session in which this side has sent SETUP, established or not. */
  get #underWay(): boolean {
    return [...this.#sessions].some((session) => session.id !== undefined)
  }

  #coolDown(reason: Reason): void {
    const { clock, cooldown } = this.#options
    this.#apply({ type: 'refused', until: clock.now() + cooldown, reason })
    this.#cooldownTimer?.cancel()
    this.#cooldownTimer = clock.setTimer(() => {
      this.#cooldownTimer = undefined
      this.#apply({ type: 'cooldown-over' })
    }, cooldown)
  }

  /** `disconnected` comes when nothing is left that could replace the session. */
  #settleLoss(reason: Reason): void {
    if (this.#underWay) return
    const lost = this.#lostReason
    this.#lostReason = undefined
    if (lost !== undefined) this.#apply({ type: 'lost', reason: lost })
    else if (!this.#dialer.busy) this.#apply({ type: 'lost', reason })
  }

  #open(link: Link, stream: ByteStream): Session {
    const session = new Session(link, stream, this.#options.context, this)
    this.#sessions.add(session)
    void session.run()
    return session
  }

  #makeReady(session: Session): void {
    // Before READY every other session whose SETUP has come is over: so the positions in it are exact.
    for (const other of [...this.#sessions]) {
      if (other !== session && other.remote !== undefined) other.goodbye('replaced', { kind: 'local' })
    }
    const ready = this.#options.streams.begin((session.remote as Setup).instance)
    if (ready === undefined) {
      return session.refuse({ code: 'busy', reason: 'it has no memory for another peer' })
    }
    session.sendReady({ type: 'ready', ...ready })
  }

  #closeLink(session: Session, { reason, goodbye, refusal }: SessionEnd): void {
    for (const other of this.#sessions) if (other.link === session.link) return
    if (goodbye === undefined && refusal === undefined) {
      return session.link.abort(reason.error ?? new Error('the session is over'))
    }
    const closing = this.#closeOrderly(session).finally(() => this.#closing.delete(closing))
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

  #notify(): void {
    for (const waiter of this.#waiters.splice(0)) waiter()
  }

  #apply(input: ConnectionInput): void {
    const { state, events } = transition(this.#state, input)
    const before = this.#state
    this.#state = state
    if (state !== before || events.length > 0) this.#options.changed(state, events)
  }
}
