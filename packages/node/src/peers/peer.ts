import type { Refusal } from '@glueberry/wire'
import type { Multiaddr } from '../address.ts'
import type { BookEntry } from '../address-book/book-document.ts'
import type { Cancellable, Clock } from '../clock.ts'
import type { PeerConnection } from '../connection/connection.ts'
import type { ConnectionEvent, ConnectionInput, ConnectionState } from '../connection/state.ts'
import { type ErrorCode, GlueberryError } from '../errors.ts'
import type { EventHub } from '../events/event-hub.ts'
import type { NewEvent, PeerState } from '../events/events.ts'
import type { Logger } from '../observe/logger.ts'
import type { PeerStats } from '../observe/stats.ts'
import type { PeerId } from '../peer-id.ts'
import type { Delivery } from '../stream/delivery.ts'
import type { Inbox } from '../stream/inbox.ts'
import type { ReceivedMessage } from '../stream/message.ts'
import type { Traffic } from '../stream/traffic.ts'
import type { Blocklist } from './blocklist.ts'
import type { DormantState } from './dormant.ts'
import { logEvent } from './operator-log.ts'
import type { PeerHistory } from './peer-history.ts'
import { infoOf, type PeerInfo } from './peer-info.ts'

/** What a peer tells the registry of peers. */
export interface PeerOwner {
  /** What `getPeer` shows of it has changed. */
  changed(): void
  /** Its state has become another. */
  counted(before: PeerState | undefined, after: PeerState | undefined): void
  /** The node has as many connections as it takes. */
  readonly full: boolean
  /** The node drains: no new credit for names whose inbox is not empty. */
  readonly draining: boolean
  /** A session is established. */
  seen(peer: Peer): void
  /** A stranger is away, and nothing is kept for it: little of it has to be remembered. */
  rests(peer: Peer): void
  /** It is closed, or was a stranger that came to nothing. */
  gone(peer: Peer): void
}

/** What every peer of a node shares with the others. */
export interface PeerNode {
  readonly clock: Clock
  readonly hub: EventHub
  readonly logger: Logger
  readonly delivery: Delivery
  readonly blocklist: Blocklist
  /** While a peer is away, what is kept for it is kept for so long, in milliseconds. */
  readonly resume: number
}

export interface PeerOptions {
  readonly peerId: PeerId
  /** This node's instance, as this peer knows it: another record of the peer is another one, so no sequence comes twice. */
  readonly instance: Uint8Array
  readonly connection: PeerConnection
  readonly traffic: Traffic
  readonly history: PeerHistory
  /** An earlier record of it was established. */
  readonly wasEstablished: boolean
  readonly node: PeerNode
  readonly owner: PeerOwner
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
  readonly history: PeerHistory
  readonly #instance: Uint8Array
  readonly #node: PeerNode
  readonly #owner: PeerOwner
  /** As it was put into the address book, if it was; addresses may have been added. */
  #entry: BookEntry | undefined
  /** Somebody asked for it, or it was established once: its end is told. */
  #known: boolean
  #expiry: Cancellable | undefined // from the loss of a session until the next one
  #expired = false
  #info: PeerInfo | undefined // until something changes
  #closed = false
  /** As it is counted among all peers. */
  #counted: PeerState | undefined
  /** Of this record, or of one that rested. */
  #wasEstablished: boolean

  constructor(options: PeerOptions) {
    const { peerId, connection, traffic, history, wasEstablished } = options
    this.peerId = peerId
    this.connection = connection
    this.traffic = traffic
    this.history = history
    this.#instance = options.instance
    this.#node = options.node
    this.#owner = options.owner
    this.#known = wasEstablished
    this.#wasEstablished = wasEstablished
    this.#count(connection.state.name)
  }

  get info(): PeerInfo {
    this.#info ??= infoOf(this.peerId, this.connection, this.#entry, this.#node.blocklist.get(this.peerId))
    return this.#info
  }

  get stats(): PeerStats {
    return this.history.stats(this.connection.sessions.current?.roundTrip)
  }

  /** What is to be remembered of it while it rests. */
  get dormantState(): DormantState {
    const { receiver, remembered } = this.traffic
    return {
      instance: this.#instance,
      // The peer may not have noticed yet that this one is over. Of those before it, it has.
      endedIds: this.connection.sessions.endedIds.slice(0, 1),
      receiver: receiver.remembered,
      traffic: remembered,
    }
  }

  /** Whether it is in the address book, or was established once. */
  get remembered(): boolean {
    return this.#entry !== undefined || this.#wasEstablished
  }

  /** Whether messages are accepted for it: it is in the address book, was established once, or is about to be. */
  get accepted(): boolean {
    return !this.#closed && (this.remembered || this.connection.sessions.ready)
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

  /** What `info` shows may have changed. */
  touch(): void {
    this.#info = undefined
    this.#owner.changed()
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
    this.connection.sessions.tell('streams', [name])
    if (!this.traffic.receiver.accept(name)) this.connection.sessions.restart()
  }

  /** A name is accepted no longer. */
  withdraw(name: string): void {
    this.connection.sessions.tell('withdraw', [name])
    const inbox = this.traffic.receiver.withdraw(name)
    if (inbox !== undefined) this.#node.delivery.withdraw(inbox)
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
    else if (this.connection.state.name === 'disconnected') this.rest()
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
    for (const inbox of this.traffic.receiver.inboxes) this.#node.delivery.withdraw(inbox)
    this.traffic.receiver.clear()
    this.connection.dispose(error)
    if (this.#known) this.connection.close(reason)
    this.#leave()
    this.#owner.gone(this)
  }

  /** Why it is not wanted now. */
  refuses(): Refusal | undefined {
    const { blocklist } = this.#node
    if (blocklist.get(this.peerId) !== undefined) return { code: 'blocked', reason: 'it has blocked this node' }
    if (!this.connection.sessions.ready && this.#owner.full)
      return { code: 'busy', reason: 'it has as many connections as limits.connections allows' }
    return undefined
  }

  /** Its connection has changed. */
  onConnection(state: ConnectionState, events: readonly ConnectionEvent[], input: ConnectionInput): void {
    const { clock, logger } = this.#node
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
        this.#wasEstablished = true
        this.history.established(clock.now())
        this.#owner.seen(this)
      } else if (event.type === 'disconnected') {
        this.history.lost(event.reason)
      }
      this.emit(event)
      if (known || this.#known) logEvent(logger, this.peerId, event) // not of a stranger that comes to nothing
    }
    if (state.name === 'established' && this.#owner.draining) this.connection.drain()
    if (state.name === 'established' || state.name === 'draining') {
      this.#expired = false
      this.#stopExpiry()
    } else if (state.name === 'disconnected') {
      if (this.#known) this.#startExpiry()
      else this.#dropStranger()
    }
  }

  /** Nothing is going on that could lead to a session, whatever state that leaves. */
  idle(): void {
    if (this.#known && this.connection.state.name === 'disconnected') this.rest()
    else this.#dropStranger()
  }

  /** It is away: waits for it, with little memory where little is to be remembered; once what is going on is complete. */
  rest(): void {
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
    this.#owner.rests(this)
  }

  /** This record is no longer one of the node's peers. */
  #leave(): void {
    this.#stopExpiry()
    this.#count(undefined)
  }

  #count(state: PeerState | undefined): void {
    if (state === this.#counted) return
    this.#owner.counted(this.#counted, state)
    this.#counted = state
  }

  /** A peer that was never established, and that no call asked for, is forgotten, apart from a cooldown. */
  #dropStranger(): void {
    if (this.#known || this.connection.busy || this.connection.state.name === 'cooldown') return
    this.connection.dispose(
      new GlueberryError('CONNECT_FAILED', 'the attempt came to nothing', { peerId: this.peerId }),
    )
    this.#leave()
    this.#owner.gone(this)
  }

  /** Something may be kept for it: its end is told from here on, and what is kept while it is away is not kept for ever. */
  #mayKeep(): void {
    this.#known = true
    if (this.connection.state.name === 'disconnected') this.#startExpiry()
  }

  #startExpiry(): void {
    const { clock, resume } = this.#node
    this.#expiry ??= clock.setTimer(() => this.#expire(), resume)
  }

  #stopExpiry(): void {
    this.#expiry?.cancel()
    this.#expiry = undefined
  }

  #expire(): void {
    this.#expiry = undefined
    if (this.connection.busy) return // that ends in a session, or in `disconnected`, where this begins anew
    const stays = this.#entry !== undefined
    if (!stays && this.traffic.receiver.held === 0) return this.close('expired')
    this.#expired = !stays // `closed` comes after its last message
    this.traffic.abandon('UNDELIVERED', CLOSING.expired[1])
  }

  /** Tells of it. */
  emit(event: ConnectionEvent | Omit<Extract<NewEvent, { type: 'skipped' | 'undelivered' }>, 'peerId'>): void {
    this.#node.hub.emit({ ...event, peerId: this.peerId } as NewEvent)
  }
}
