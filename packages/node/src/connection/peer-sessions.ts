import type { Ready, Refusal, Setup } from '@glueberry/wire'
import { type Clock, deadline } from '../clock.ts'
import { GlueberryError } from '../errors.ts'
import type { DisconnectReason } from '../events/events.ts'
import { Allowance } from '../limits/allowance.ts'
import { type PeerId, peerIdBytes } from '../peer-id.ts'
import type { SessionEnd } from '../session/endings.ts'
import { Session } from '../session/session.ts'
import type { SessionContext, SessionOwner } from '../session/session-owner.ts'
import type { StreamsPort } from '../session-port.ts'
import { type ByteStream, type Direction, type Link, SESSION_PROTOCOL } from '../transport/transport.ts'
import type { Closings } from './closings.ts'
import { InstanceWatch } from './instance-watch.ts'
import { decides, SessionSet, sameInstance } from './session-set.ts'

export interface PeerSessionsOptions {
  readonly peerId: PeerId
  readonly ownPeerId: PeerId
  readonly clock: Clock
  readonly context: SessionContext
  readonly streams: StreamsPort
  /** This node's SETUP, but for what is this peer's own. */
  setup(): Omit<Setup, 'ended'>
  /** Why this peer is not wanted now, cooldown aside. */
  refuses(): Refusal | undefined
  /** It is in the address book, or was established once. */
  known(): boolean
  /** What is left of it from an earlier record of this peer. */
  readonly allowance: Allowance | undefined
  /** Ids of sessions that an earlier record of this peer has had. */
  readonly endedIds: readonly Uint8Array[]
}

/** What the sessions with a peer tell its connection. */
export interface PeerSessionsOwner {
  readonly coolingDown: boolean
  /** A peer is authenticated, and neither side has refused it yet. */
  authenticated(direction: Direction): void
  /** A session is established, in place of the one before if there is one. */
  established(session: Session, resumed: boolean): void
  /** The first record since then has come. */
  alive(session: Session): void
  /** The peer, or this node, is not to be talked to for a while. */
  refused(reason: DisconnectReason): void
  /** A session is over, and none is left that could replace it. */
  lost(end: SessionEnd, direction: Direction): void
  /** One more session is over. */
  changed(): void
}

/** Requests that bring nobody a message (docs/protocol.md): at once, and in each second. An honest peer makes a few. */
const [REQUESTS, REQUESTS_PER_SECOND] = [2000, 500]
/** What the keys of a session cost, in requests; and a renewal that comes sooner than an honest peer needs it. */
const [SESSION_COST, EARLY_RENEWAL_COST] = [5, 400]
/** Sessions on one connection that are not established: the first, or a renewal and the one that it renews. */
const UNDER_WAY_MAX = 2

export const COOLING_DOWN: Refusal = { code: 'cooldown', reason: 'it was refused a short while ago' }

/** The sessions with one peer, of which at most one is established: begins and renews them, and does what their set decides. */
export class PeerSessions implements SessionOwner<Session> {
  readonly #options: PeerSessionsOptions
  readonly #closings: Closings
  readonly #owner: PeerSessionsOwner
  readonly #set: SessionSet<Session>
  readonly #instances = new InstanceWatch()
  readonly allowance: Allowance
  /** The established one. */
  #current: Session | undefined
  /** Why the established session went, while another one may still replace it. */
  #lost: SessionEnd | undefined

  /** @param closings of links that are left */
  constructor(options: PeerSessionsOptions, closings: Closings, owner: PeerSessionsOwner) {
    this.#options = options
    this.#closings = closings
    this.#owner = owner
    const { ownPeerId, peerId, clock, endedIds } = options
    this.#set = new SessionSet(decides(peerIdBytes(ownPeerId), peerIdBytes(peerId)), endedIds)
    this.allowance = options.allowance ?? new Allowance(clock, REQUESTS, REQUESTS_PER_SECOND)
  }

  /** The established session. */
  get current(): Session | undefined {
    return this.#current
  }

  get any(): boolean {
    return this.#set.size > 0
  }

  /** Whether there is one in which this side has sent SETUP, established or not. */
  get underWay(): boolean {
    return this.#set.underWay
  }

  /** Whether this side is ready in one: the peer may be established already. */
  get ready(): boolean {
    return this.#set.all.some((session) => session.readySent)
  }

  /** Begins a session on this stream, of which this side is the initiator where it has dialed. */
  open(link: Link, stream: ByteStream, renews?: Session): Session {
    const session = new Session(link, stream, this.#options.context, this, renews)
    this.#set.add(session)
    void session.run()
    return session
  }

  /** An inbound session begins: on a link that has one in place, to renew its keys. */
  accept(link: Link, stream: ByteStream): void {
    const onLink = this.#set.all.filter((session) => session.link === link)
    const renews = onLink.find((session) => session.readySent)
    const early = renews !== undefined && !renews.mayBeRenewed
    const underWay = onLink.filter(({ established }) => !established).length
    if (underWay >= UNDER_WAY_MAX || !this.allowance.take(early ? EARLY_RENEWAL_COST : SESSION_COST)) {
      this.#tooMuch()
      link.abort(this.#tooMuchError())
      return
    }
    this.open(link, stream, renews)
  }

  /** Whether the peer may send on this connection: a session on it is ready here. */
  acceptsStreams(link: Link): boolean {
    return this.#set.all.some((session) => session.link === link && session.readySent)
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
    return this.#set.all.find((session) => session.link === link && session.readySent && session.isNamedBy(tag))
  }

  /** Names are accepted from now on, or no longer: every session whose SETUP did not say so is told. */
  tell(type: 'streams' | 'withdraw', names: readonly string[]): void {
    for (const session of this.#set.all) session.tell({ type, names })
  }

  /** The peer is to set up a new session at once, which says what this one cannot. */
  restart(): void {
    for (const session of this.#set.all) if (session.readySent) session.goodbye('stopped', { kind: 'local' })
  }

  /** Ends all of them in good order. */
  goodbye(reason: 'stopped' | 'disconnected'): void {
    for (const session of this.#set.all) session.goodbye(reason, { kind: 'local' })
  }

  /** Refuses the peer in all of them. */
  refuseAll(refusal: Refusal): void {
    for (const session of this.#set.all) session.refuse(refusal)
  }

  /** Ids of the last sessions that were set up here and have ended, the last one first. */
  get endedIds(): readonly Uint8Array[] {
    return this.#set.endedIds
  }

  // What sessions tell.

  setup(): Setup {
    return { ...this.#options.setup(), ended: this.#set.endedIds }
  }

  refuses(): Refusal | undefined {
    if (this.#owner.coolingDown) return COOLING_DOWN
    return this.#options.refuses()
  }

  onRequest(): void {
    if (!this.allowance.take()) throw this.#tooMuchError()
  }

  onSetup(session: Session): void {
    const { peerId } = this.#options
    for (const other of this.#set.overBy(session)) {
      const error = new GlueberryError('CONNECT_FAILED', `the connection to ${peerId} broke`, { peerId })
      other.abandon({ kind: 'io', error })
    }
    if (this.#owner.coolingDown) return session.refuse(COOLING_DOWN) // it began while this session was on its way
    if (this.#set.onSetup(session) === 'duplicate') return session.goodbye('duplicate', { kind: 'local' })
    this.#owner.authenticated(session.link.direction)
    const { renews } = session
    // The application has decided about this instance already.
    if (renews !== undefined && sameInstance(renews, session)) session.accept()
    else session.begin()
  }

  onProgress(session: Session, { instance }: Setup): void {
    const verdict = this.#set.onProgress(session)
    if (verdict === 'ready') this.#makeReady(session, instance)
    else if (verdict === 'duplicate') session.goodbye('duplicate', { kind: 'local' })
  }

  onEstablished(session: Session, ready: Ready): void {
    this.#current = session
    let resumed: boolean
    try {
      resumed = this.#options.streams.attach(session, ready)
    } catch (error) {
      return session.fail(error)
    }
    if (this.#current !== session) return // ended meanwhile
    this.#lost = undefined
    this.#owner.established(session, resumed)
  }

  onAlive(session: Session): void {
    this.#owner.alive(session)
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
    this.#set.delete(session)
    const wasCurrent = this.#current === session
    if (wasCurrent) {
      this.#current = undefined
      if (end.goodbye !== 'replaced') this.#lost = end // else how its successor ends is what counts
    }
    if (session.readySent) this.#options.streams.detach(end.goodbye !== undefined)
    // A renewal that fails takes its connection with it: what it was to replace has had its time.
    if (session.renews?.ended === false && !session.wasEstablished) session.renews.fail(renewalError(session, end))
    if (this.#set.all.every(({ link }) => link !== session.link)) this.#closings.closeLink(session, end)

    // A stranger that dialed can say so of anybody: only peers that this node dialed, or knows, are believed.
    const believed = session.link.direction === 'outbound' || this.known
    if (end.refusal?.code === 'identity-in-use' && end.refusal.by === 'them' && believed)
      this.#refuseTwins(`two running programs have this node's identity, says ${session.peerId}`)
    else if (end.refusal?.code === 'application' && !this.#set.underWay) this.#owner.refused(end.reason)
    if (!this.#set.underWay) {
      const lost = this.#lost ?? end
      this.#lost = undefined
      this.#owner.lost(lost, session.link.direction)
    }
    this.#owner.changed()
  }

  /** Two programs run with one identity, the peer's or our own: neither is talked to for a while. */
  #refuseTwins(text: string): void {
    if (this.#owner.coolingDown) return
    const { peerId, context } = this.#options
    const refusal: Refusal = { code: 'identity-in-use', reason: 'two running programs have this identity' }
    const error = new GlueberryError('IDENTITY_IN_USE', text, {
      peerId,
      hint: 'give each running program an identity of its own',
    })
    context.report(error)
    this.refuseAll(refusal)
    this.#owner.refused({ kind: 'authentication', error })
  }

  /** Fresh keys: a whole new session on the same link, which then replaces this one. */
  async #renew(session: Session): Promise<void> {
    if (session.link.direction === 'inbound') return session.tell({ type: 'renew' })
    const { clock, context } = this.#options
    const limit = deadline(clock, context.handshakeTimeout, () => renewalError(session, undefined))
    try {
      const stream = await session.link.openStream(SESSION_PROTOCOL, limit.signal)
      if (session.ended) stream.abort(new Error('the session is over'))
      else this.open(session.link, stream, session)
    } catch (error) {
      session.fail(error)
    } finally {
      limit.cancel()
    }
  }

  #makeReady(session: Session, instance: Uint8Array): void {
    for (const rival of this.#set.rivals(session)) rival.goodbye('replaced', { kind: 'local' })
    session.sendReady({ type: 'ready', ...this.#options.streams.begin(instance) })
  }

  #tooMuch(): void {
    for (const session of this.#set.all) session.fail(this.#tooMuchError())
  }

  #tooMuchError(): GlueberryError {
    const { peerId } = this.#options
    return new GlueberryError('PROTOCOL', `${peerId} asks for more than anyone needs`, { peerId })
  }
}

function renewalError({ peerId }: Session, end: SessionEnd | undefined): GlueberryError {
  return new GlueberryError('CONNECT_FAILED', `the keys of the session with ${peerId} could not be renewed`, {
    peerId,
    cause: end?.reason.error,
  })
}
