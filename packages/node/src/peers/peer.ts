import { INSTANCE_LENGTH, type Refusal, type Setup } from '@glueberry/wire'
import type { Multiaddr } from '../address.ts'
import type { BookEntry } from '../address-book/address-book.ts'
import type { Cancellable, Clock } from '../clock.ts'
import { PeerConnection } from '../connection/connection.ts'
import type { Dials } from '../connection/dials.ts'
import type { ConnectionEvent, ConnectionInput, ConnectionState, ReconnectAttempt } from '../connection/state.ts'
import { type ErrorCode, GlueberryError } from '../errors.ts'
import type { EventHub } from '../events/event-hub.ts'
import type { DisconnectReason, NewEvent, PeerState } from '../events/events.ts'
import type { Logger } from '../observe/logger.ts'
import type { PeerStats } from '../observe/stats.ts'
import { BUDGET_SLACK, firstWindow } from '../options/flow-limits.ts'
import type { Settings } from '../options/settings.ts'
import type { PeerId } from '../peer-id.ts'
import type { SessionContext } from '../session/session-owner.ts'
import { Budget } from '../stream/budget.ts'
import type { Counts } from '../stream/counts.ts'
import type { Delivery } from '../stream/delivery.ts'
import type { Inbox } from '../stream/inbox.ts'
import type { ReceivedMessage } from '../stream/message.ts'
import { Receiver } from '../stream/receiver.ts'
import { Traffic } from '../stream/traffic.ts'
import type { Direction, Link } from '../transport/transport.ts'
import type { Blocklist, PeerBlock } from './blocklist.ts'
import type { DormantPeer, DormantState } from './dormant.ts'

/** What is known of a peer: a frozen value that stays identical until something changes. */
export interface PeerInfo {
  /** The peer's id. */
  readonly peerId: PeerId
  /** How things are with it. */
  readonly state: PeerState
  /** Which side dialed, while there is a connection. */
  readonly direction?: Direction
  /** In the address book. */
  readonly saved: boolean
  /** Where it may be, in the order in which that is tried. */
  readonly addresses: readonly Multiaddr[]
  /** As `addPeer` was told. */
  readonly metadata: Readonly<Record<string, string>>
  /** The next attempt to reach it. */
  readonly retry?: ReconnectAttempt
  /** Blocked with `blockPeer`. */
  readonly blocked?: PeerBlock
}

const NO_METADATA: Readonly<Record<string, string>> = Object.freeze({})

/** What every peer of a node shares. */
export interface PeerContext {
  readonly settings: Settings
  readonly clock: Clock
  readonly hub: EventHub
  readonly delivery: Delivery
  readonly budget: Budget
  /** What is kept for all peers. */
  readonly kept: Budget
  readonly blocklist: Blocklist
  readonly session: SessionContext
  readonly dials: Dials
  readonly ownPeerId: PeerId
  names(): ReadonlySet<string>
  /** The node drains: no new credit for names whose inbox is not empty. */
  draining(): boolean
  setup(): Omit<Setup, 'ended' | 'instance'>
  dial(peerId: PeerId, address: string, signal: AbortSignal): Promise<Link>
  /** What `getPeer` shows of it has changed. */
  changed(): void
  /** Its state has become another. */
  counted(before: PeerState | undefined, after: PeerState | undefined): void
  /** The node has as many connections as it takes. */
  full(): boolean
  /** A session is established. */
  seen(peer: Peer): void
  /** A stranger is away, and nothing is kept for it: little of it has to be remembered. */
  rests(peer: Peer): void
  /** It is closed, or was a stranger that came to nothing. */
  gone(peer: Peer): void
}

/** What an earlier record of the peer has left. */
export interface Earlier {
  readonly stats: PeerStats | undefined
  readonly state: DormantState | undefined
  readonly dormant: DormantPeer | undefined
}

/** Why a peer is let go, as the `closed` event says it, and the error for calls that wait. */
const CLOSING: Record<'removed' | 'blocked' | 'gave-up' | 'expired' | 'stopped', readonly [ErrorCode, string]> = {
  removed: ['PEER_REMOVED', 'the peer was removed'],
  blocked: ['PEER_BLOCKED', 'the peer was blocked'],
  'gave-up': ['UNDELIVERED', 'the attempts to reach the peer were given up'],
  expired: ['UNDELIVERED', 'the peer was away for too long'],
  stopped: ['STOPPED', 'the node was stopped'],
}

/** The one record of a peer: its connection and its traffic, brought together, and what is known of it. */
export class Peer {
  readonly peerId: PeerId
  readonly connection: PeerConnection
  readonly traffic: Traffic
  readonly #context: PeerContext
  /** As it was put into the address book, if it was; addresses may have been added. */
  #entry: BookEntry | undefined
  /** Somebody asked for it, or it was established once: its end is told. */
  #known = false
  #expiry: Cancellable | undefined // from the loss of a session until the next one
  #expired = false
  #info: PeerInfo | undefined // until something changes
  #closed = false
  #warnedOfDeadlock = false
  /** This node's instance, as this peer knows it: another record of the peer is another one, so no sequence comes twice. */
  readonly #instance: Uint8Array
  /** As it is counted among all peers. */
  #counted: PeerState | undefined
  readonly #counts: Counts = { messagesSent: 0, messagesReceived: 0, bytesSent: 0, bytesReceived: 0, redelivered: 0 }
  /** Established ones, with those of an earlier record. */
  #sessions = 0
  /** Of this record. */
  #wasEstablished = false
  #connectedSince: number | undefined
  #lastReason: DisconnectReason | undefined

  constructor(peerId: PeerId, context: PeerContext, earlier: Earlier) {
    this.peerId = peerId
    this.#context = context
    const { stats, state: remembered } = earlier
    if (stats !== undefined) {
      const { messagesSent, messagesReceived, bytesSent, bytesReceived, redelivered } = stats
      this.#counts = { messagesSent, messagesReceived, bytesSent, bytesReceived, redelivered }
      this.#sessions = stats.reconnects + 1
      this.#lastReason = stats.lastReason
    }
    this.#known = remembered !== undefined
    this.#wasEstablished = remembered !== undefined
    this.#instance = remembered?.instance ?? context.clock.randomBytes(INSTANCE_LENGTH)
    const { settings, clock, delivery, budget, kept, ownPeerId } = context
    const { flow, limits, timeouts } = settings
    const receiver = new Receiver({
      peerId,
      remembered: remembered?.receiver,
      clock,
      budget: new Budget(flow.peerBudget + BUDGET_SLACK, budget),
      messageSize: limits.messageSize,
      firstWindow: (names) => firstWindow(settings, names),
      windowMax: flow.window,
      names: context.names,
      frozen: context.draining,
      counts: this.#counts,
      offer: (inbox) => delivery.offer(inbox),
      skipped: (stream, from, count) => this.#emit({ type: 'skipped', stream, from, count }),
    })
    this.traffic = new Traffic({
      peerId,
      remembered: remembered?.traffic,
      clock,
      receiver,
      messageSize: limits.messageSize,
      sendBuffer: flow.sendBuffer,
      rejectWhenFull: flow.overflow === 'error',
      waitingMax: limits.waitingSends,
      kept: new Budget(Math.max(flow.peerBudget, flow.window) + BUDGET_SLACK, kept),
      undelivered: (stream, from, count) => this.#emit({ type: 'undelivered', stream, from, count }),
      counts: this.#counts,
      waits: (stream) => this.#warnOfDeadlock(stream),
    })
    this.connection = new PeerConnection({
      peerId,
      ownPeerId,
      clock,
      context: context.session,
      connectTimeout: timeouts.connect,
      cooldown: timeouts.cooldown,
      reconnect: settings.reconnect,
      streams: this.traffic,
      dial: (address, signal) => context.dial(peerId, address, signal),
      setup: () => ({ ...context.setup(), instance: this.#instance }),
      known: () => this.#entry !== undefined || this.#wasEstablished,
      dials: context.dials,
      allowance: earlier.dormant?.allowance,
      outage: earlier.dormant?.outage === true,
      endedIds: remembered?.endedIds ?? [],
      refuses: () => this.#refuses(),
      changed: (state, events, input) => this.#changed(state, events, input),
      gaveUp: () => this.close('gave-up'),
      idle: () => this.#idle(),
    })
    this.#count(this.connection.state.name)
  }

  get info(): PeerInfo {
    if (this.#info === undefined) {
      const { name, direction, retry } = this.connection.state
      const blocked = this.#context.blocklist.get(this.peerId)
      this.#info = Object.freeze({
        peerId: this.peerId,
        state: name,
        ...(direction === undefined ? {} : { direction }),
        saved: this.#entry !== undefined,
        addresses: Object.freeze(this.connection.addresses),
        metadata: this.#entry?.metadata ?? NO_METADATA,
        ...(retry === undefined ? {} : { retry: Object.freeze({ ...retry }) }),
        ...(blocked === undefined ? {} : { blocked }),
      })
    }
    return this.#info
  }

  get stats(): PeerStats {
    const roundTrip = this.connection.current?.roundTrip
    return {
      ...this.#counts,
      reconnects: Math.max(0, this.#sessions - 1),
      ...(this.#connectedSince === undefined ? {} : { connectedSince: this.#connectedSince }),
      ...(this.#lastReason === undefined ? {} : { lastReason: this.#lastReason }),
      ...(roundTrip === undefined ? {} : { roundTrip }),
    }
  }

  /** Whether there are statistics worth keeping. */
  get hasHistory(): boolean {
    return this.#sessions > 0
  }

  /** What is to be remembered of it while it rests. */
  get dormantState(): DormantState {
    const { receiver, remembered } = this.traffic
    return {
      instance: this.#instance,
      // The peer may not have noticed yet that this one is over. Of those before it, it has.
      endedIds: this.connection.endedIds.slice(0, 1),
      receiver: receiver.remembered,
      traffic: remembered,
    }
  }

  /** Whether messages are accepted for it: it is in the address book, was established once, or is about to be. */
  get accepted(): boolean {
    return !this.#closed && (this.#entry !== undefined || this.#wasEstablished || this.connection.ready)
  }

  /** It is in the address book, like this. */
  saved(entry: BookEntry): void {
    this.#entry = entry
    this.#known = true
    this.connection.addAddresses(entry.addresses)
    this.touch()
  }

  async connect(addresses: readonly Multiaddr[], signal: AbortSignal | undefined): Promise<void> {
    this.#known = true
    await this.connection.connect(addresses, signal)
  }

  /** It has come back from its rest, and is away. */
  wait(): void {
    this.#rest()
  }

  /** What `info` shows may have changed. */
  touch(): void {
    this.#info = undefined
    this.#context.changed()
  }

  send(
    stream: string,
    data: Uint8Array,
    options: { readonly confirm: boolean; readonly signal: AbortSignal | undefined },
  ): Promise<number> {
    this.#mayKeep()
    return this.traffic.send(stream, data, options)
  }

  /** @throws GlueberryError where `send` would reject */
  trySend(stream: string, data: Uint8Array): boolean {
    this.#mayKeep()
    return this.traffic.trySend(stream, data)
  }

  /** Resolves when `trySend` would accept what it refused last, or a small message. @throws GlueberryError where `send` would reject */
  writable(stream: string, signal: AbortSignal | undefined): Promise<void> {
    this.#mayKeep()
    return this.traffic.writable(stream, signal)
  }

  /** One more name is accepted. */
  accept(name: string): void {
    this.connection.announceStreams([name])
    if (!this.traffic.receiver.accept(name)) this.connection.restart()
  }

  /** A name is accepted no longer. */
  withdraw(name: string): void {
    this.connection.withdrawStreams([name])
    const inbox = this.traffic.receiver.withdraw(name)
    if (inbox !== undefined) this.#context.delivery.withdraw(inbox)
  }

  /** Forgets addresses. */
  removeAddresses(addresses: readonly Multiaddr[]): void {
    this.connection.removeAddresses(addresses)
    this.touch()
  }

  /** The application has consumed a message; `failed`: without success. */
  settle(inbox: Inbox, message: ReceivedMessage, failed: boolean): void {
    this.traffic.receiver.settle(inbox, message, failed)
    if (this.traffic.receiver.held > 0) return
    if (this.#expired && !this.connection.busy) this.close('expired')
    else if (this.connection.state.name === 'disconnected') this.#rest()
  }

  /** Lets the peer go: everything ends, and every call that waits rejects. */
  close(reason: keyof typeof CLOSING): void {
    const [code, message] = CLOSING[reason]
    this.#closed = true // what is told below may call anything: nothing is accepted for it any more
    this.#expired = false
    this.traffic.abandon(code, message) // before the session ends: a waiting send must not be accepted for a later one
    const error = new GlueberryError(code, message, { peerId: this.peerId })
    // `disconnected` means: do not call back. From a block it may: that may end.
    const mayReturn = reason === 'stopped' || reason === 'blocked'
    this.connection.disconnect(mayReturn ? 'stopped' : 'disconnected', error)
    for (const inbox of this.traffic.receiver.inboxes) this.#context.delivery.withdraw(inbox)
    this.traffic.receiver.clear()
    this.connection.dispose(error)
    if (this.#known) this.connection.close(reason)
    this.#leave()
    this.#context.gone(this)
  }

  #refuses(): Refusal | undefined {
    const { blocklist, full } = this.#context
    if (blocklist.get(this.peerId) !== undefined) return { code: 'blocked', reason: 'it has blocked this node' }
    if (!this.connection.ready && full()) return { code: 'busy', reason: 'it has as many connections as it takes' }
    return undefined
  }

  #changed(state: ConnectionState, events: readonly ConnectionEvent[], input: ConnectionInput): void {
    const { clock, session } = this.#context
    const { logger } = session
    const reason = 'reason' in input ? input.reason : undefined
    const known = this.#known
    logger.debug(`peer is ${state.name}`, {
      peerId: this.peerId,
      input: input.type,
      ...(reason === undefined ? {} : { reason: typeof reason === 'string' ? reason : reason.kind }),
      ...(state.retry === undefined ? {} : { attempt: state.retry.attempt }),
    })
    this.#count(state.name)
    this.touch()
    for (const event of events) {
      if (event.type === 'established') {
        this.#known = true
        this.#sessions++
        this.#wasEstablished = true
        this.#connectedSince = clock.now()
        this.#context.seen(this)
      } else if (event.type === 'disconnected') {
        this.#lastReason = event.reason
        this.#connectedSince = undefined
      }
      this.#emit(event)
      tell(logger, this.peerId, event, known || this.#known)
    }
    if (state.name === 'established' && this.#context.draining()) this.connection.drain()
    if (state.name === 'established' || state.name === 'draining') {
      this.#expired = false
      this.#stopExpiry()
    } else if (state.name === 'disconnected') {
      if (this.#known) this.#startExpiry()
      else this.#dropStranger()
    }
  }

  /** Nothing is going on that could lead to a session, whatever state that leaves. */
  #idle(): void {
    if (this.#known && this.connection.state.name === 'disconnected') this.#rest()
    else this.#dropStranger()
  }

  /** It is away: waits for it, with little memory where little is to be remembered; once what is going on is complete. */
  #rest(): void {
    this.#startExpiry()
    queueMicrotask(() => this.#restNow())
  }

  #restNow(): void {
    const { traffic, connection } = this
    if (this.#counted !== 'disconnected') return // it has come back, or is gone
    const { receiver } = traffic
    const keeps = receiver.held > 0 || receiver.hasFailures || traffic.buffered().messages > 0
    const found = this.#entry !== undefined || connection.addresses.length > 0 || !this.#wasEstablished
    if (keeps || found || connection.busy || this.#expired) return
    connection.dispose(new GlueberryError('CONNECT_FAILED', 'the peer is away', { peerId: this.peerId }))
    this.#leave()
    this.#context.rests(this)
  }

  /** This record is no longer one of the node's peers. */
  #leave(): void {
    this.#stopExpiry()
    this.#count(undefined)
  }

  #count(state: PeerState | undefined): void {
    if (state === this.#counted) return
    this.#context.counted(this.#counted, state)
    this.#counted = state
  }

  /** A peer that was never established, and that no call asked for, is forgotten, apart from a cooldown. */
  #dropStranger(): void {
    if (this.#known || this.connection.busy || this.connection.state.name === 'cooldown') return
    this.connection.dispose(
      new GlueberryError('CONNECT_FAILED', 'the attempt came to nothing', { peerId: this.peerId }),
    )
    this.#leave()
    this.#context.gone(this)
  }

  /** Something may be kept for it: its end is told from here on, and what is kept while it is away is not kept for ever. */
  #mayKeep(): void {
    this.#known = true
    if (this.connection.state.name === 'disconnected') this.#startExpiry()
  }

  #startExpiry(): void {
    const { clock, settings } = this.#context
    this.#expiry ??= clock.setTimer(() => this.#expire(), settings.timeouts.resume)
  }

  #stopExpiry(): void {
    this.#expiry?.cancel()
    this.#expiry = undefined
  }

  #expire(): void {
    this.#expiry = undefined
    if (this.connection.busy) {
      return // what is going on ends in a session, or in `disconnected`, where this begins anew
    } else if (this.#entry !== undefined) {
      this.traffic.abandon('UNDELIVERED', CLOSING.expired[1])
    } else if (this.traffic.receiver.held > 0) {
      this.#expired = true // `closed` comes after its last message
      this.traffic.abandon('UNDELIVERED', CLOSING.expired[1])
    } else {
      this.close('expired')
    }
  }

  /** A send waits: does the peer wait for us likewise? Told once. */
  #warnOfDeadlock(stream: string): void {
    if (this.#warnedOfDeadlock) return
    for (const inbox of this.traffic.receiver.inboxes) {
      if (!inbox.full || this.#context.delivery.hasConsumer(inbox.name)) continue
      this.#warnedOfDeadlock = true
      this.#context.session.logger.warn('a send waits for a peer whose own messages nobody takes here', {
        peerId: this.peerId,
        stream,
        untaken: inbox.name,
        hint: 'two programs that both send before they read wait for each other: read in another loop',
      })
      return
    }
  }

  #emit(event: ConnectionEvent | Omit<Extract<NewEvent, { type: 'skipped' | 'undelivered' }>, 'peerId'>): void {
    this.#context.hub.emit({ ...event, peerId: this.peerId } as NewEvent)
  }
}

/** An event as an operator reads it: what was reached, what was lost and why, how long it waits. Strangers that come to nothing are left out. */
function tell(logger: Logger, peerId: PeerId, event: ConnectionEvent, known: boolean): void {
  if (!known) return
  switch (event.type) {
    case 'established':
      return logger.info('peer is established', { peerId, resumed: event.resumed })
    case 'disconnected': {
      const { kind, error } = event.reason
      return logger.info('peer is lost', {
        peerId,
        reason: kind,
        ...(error === undefined ? {} : { error: error.message }),
      })
    }
    case 'reconnecting':
      return logger.info('peer is tried again', { peerId, attempt: event.attempt, delay: Math.round(event.delay) })
    case 'cooldown':
      return logger.info('peer is left alone after a refusal', { peerId, until: new Date(event.until).toISOString() })
    case 'closed':
      return logger.info('peer is given up', { peerId, reason: event.reason })
  }
}
