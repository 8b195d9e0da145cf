import { MESSAGE_OVERHEAD, STREAM_NAMES_MAX } from '@glueberry/wire'
import { withSignal } from '../async.ts'
import type { Clock } from '../clock.ts'
import { type ErrorCode, GlueberryError } from '../errors.ts'
import { LinkedList } from '../linked-list.ts'
import type { PeerId } from '../peer-id.ts'
import type { SessionPort } from '../session-port.ts'
import { Account, type Budget } from './budget.ts'
import type { Counts } from './counts.ts'
import type { Abandoned, Outbox, SessionStart } from './outbox.ts'
import { bufferFull, handlerFailed, mayHaveFailed, neverSent, tooManyWaiting, unconfirmed } from './send-errors.ts'
import { WaitingSends } from './waiting-sends.ts'
import { Watchers } from './watchers.ts'
import { Writer } from './writer.ts'

/** With so much queued a writer does not wait for the next turn, in bytes. */
const URGENT = 256 * 1024

const DONE: Promise<void> = Promise.resolve()

export interface SenderOptions {
  readonly peerId: PeerId
  readonly name: string
  readonly outbox: Outbox
  readonly clock: Clock
  /** How many calls may wait. */
  readonly waitingMax: number
  /** What is kept for the peer on all names together: each sender adds and subtracts its own. */
  readonly kept: Budget
  /** While the peer is away: whether more may be kept for it. */
  roomWhileAway(): boolean
  /** While the peer is away and there is no room: whether to reject instead of waiting. */
  readonly rejectWhenFull: boolean
  /** Whether other names of this peer wait to be written. */
  shared(): boolean
  /** What has passed between this node and the peer. */
  readonly counts: Counts
  /** A call of `send` waits for the peer to take something. */
  waits(): void
}

export interface SendOptions {
  readonly confirm: boolean
  readonly signal: AbortSignal | undefined
}

/** Sending to one peer on one name: calls that wait for credit or for consumption, and the writer. */
export class Sender {
  readonly #options: SenderOptions
  readonly #outbox: Outbox
  readonly #account: Account
  readonly #waiting = new WaitingSends()
  readonly #watchers = new Watchers()
  /** Callers that wait until something can be sent at once. */
  readonly #writable = new LinkedList<() => void>()
  /** Waits for what is kept on other names, or for other peers, to go. */
  #awaitsRoom = false
  #session: { readonly port: SessionPort; writer: Writer | undefined } | undefined
  #asks = false // in this turn
  /** The last sequence when `giveBackIfIdle` was called last, if nothing was kept then. */
  #idleSince: number | undefined
  /** Something did not fit: nothing is accepted until the low mark, so that a sender is not woken for every message. */
  #full = false
  /** The size of what did not fit. */
  #refused = 0
  #roused = 0 // bytes accepted since the writer was last roused

  constructor(options: SenderOptions) {
    this.#options = options
    this.#outbox = options.outbox
    this.#account = new Account(options.kept)
    this.#recount()
  }

  /** What is kept, and its sequence numbers. */
  get outbox(): Outbox {
    return this.#outbox
  }

  get messages(): number {
    return this.#outbox.messages + this.#waiting.size
  }

  get bytes(): number {
    return this.#outbox.bytes + this.#waiting.bytes
  }

  get busy(): boolean {
    return this.#session !== undefined && this.#outbox.sendable
  }

  /** Whether it sends in a session now. */
  get attached(): boolean {
    return this.#session !== undefined
  }

  /** Accepts now, or returns false where `send` would wait. Never overtakes a call that waits. @throws GlueberryError where `send` would reject */
  trySend(data: Uint8Array): boolean {
    if (this.#waiting.empty && this.#hasRoom(data.length)) {
      this.#accept(data, false)
      return true
    }
    const problem = this.#mayNotWait()
    if (problem !== undefined) throw problem
    this.#ask()
    return false
  }

  /** Resolves with the message's sequence when it is accepted; with `confirm`, when it is consumed. */
  send(data: Uint8Array, { confirm, signal }: SendOptions): Promise<number> {
    if (this.#waiting.empty && this.#hasRoom(data.length)) {
      const sequence = this.#accept(data, confirm)
      return confirm ? this.#consumption(sequence, signal) : Promise.resolve(sequence)
    }
    return this.#wait(data, confirm, signal)
  }

  /** Resolves when `trySend` would accept what it refused last, or a small message. */
  writable(signal: AbortSignal | undefined): Promise<void> {
    if (this.#waiting.empty && this.#hasRoom(this.#refused)) return DONE
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        this.#writable.remove(place)
        reject((signal as AbortSignal).reason)
      }
      const place = this.#writable.push(() => {
        signal?.removeEventListener('abort', abort)
        resolve()
      })
      signal?.addEventListener('abort', abort, { once: true })
      this.#ask()
    })
  }

  /** Resolves when everything that was accepted before is consumed. */
  flush(signal: AbortSignal | undefined): Promise<void> {
    const { last } = this.#waiting
    const accepted = this.#flushAccepted(signal)
    if (last === undefined) return accepted
    // In the same turn: what has just been accepted may be given up in the next one.
    const rest = new Promise<void>((resolve) => last.over.push(() => resolve(this.#flushAccepted(signal))))
    return Promise.all([accepted, withSignal(rest, signal)]).then(() => undefined)
  }

  /** A session is established. @throws GlueberryError `PROTOCOL` when the peer claims what it cannot have */
  attach(port: SessionPort, start: SessionStart): void {
    if (!this.#outbox.begin(start)) throw neverSent(this.#options)
    this.#recount()
    this.#session = { port, writer: undefined }
    this.#watchers.settle(this.#outbox.consumed)
    this.#advance()
  }

  /** The pool that names share has room again. */
  poolHasRoom(): void {
    if (this.#session !== undefined && (this.#outbox.sendable || !this.#waiting.empty || !this.#writable.empty))
      this.#advance()
  }

  /** Gives back credit that was not used since the last call. Returns whether there is some that may be given back later. */
  giveBackIfIdle(): boolean {
    const session = this.#session
    const outbox = this.#outbox
    if (session === undefined || !outbox.holdsCredit) return false
    const last = outbox.lastSequence
    if (outbox.messages === 0 && this.#waiting.empty && this.#idleSince === last) {
      const returned = outbox.giveBack()
      if (returned !== undefined) session.port.tell({ type: 'return', name: this.#options.name, returned })
      return false
    }
    this.#idleSince = last
    return true
  }

  /** The session is over. With a goodbye, the stream is ended in good order first. */
  detach(orderly: boolean): void {
    const writer = this.#session?.writer
    this.#session = undefined
    this.#outbox.pause()
    writer?.end(orderly)
    this.#advance() // what waited for credit may wait in the buffer instead
  }

  /** The peer acknowledges. Returns whether that brought anything. @throws GlueberryError `PROTOCOL` */
  acknowledge(consumed: number, limit: number): boolean {
    const before = this.#outbox.progress
    const consumedBefore = this.#outbox.consumed
    if (!this.#outbox.acknowledge(consumed, limit)) throw neverSent(this.#options)
    if (this.#outbox.consumed === consumedBefore) this.#full = false // it was granted more: that is there to be used
    this.#recount()
    this.#watchers.settle(this.#outbox.consumed)
    this.#advance()
    return this.#outbox.progress > before
  }

  /** The peer's application has consumed a message without success. Returns whether it was sent to be confirmed, and this is the first word of it. */
  failed(sequence: number): boolean {
    return this.#watchers.failed(sequence, () => handlerFailed(this.#options, sequence))
  }

  /** More messages were consumed without success than the peer remembers: of those before this one nobody knows. */
  failedBefore(sequence: number, consumed: number): void {
    this.#watchers.rejectThrough(Math.min(sequence - 1, consumed), (each) => mayHaveFailed(this.#options, each))
  }

  /** The largest message that is kept or waits, in bytes; looks at each. */
  largest(): number {
    let largest = this.#outbox.largest()
    for (const { size } of this.#waiting) largest = Math.max(largest, size)
    return largest
  }

  /** Gives up what is kept, and rejects every call that waits. */
  abandon(code: ErrorCode, message: string): Abandoned | undefined {
    const { peerId, name } = this.#options
    // One for all: there may be hundreds of thousands of them, and each has a stack.
    const error = new GlueberryError(code, message, { peerId, stream: name })
    const undelivered = new GlueberryError('UNDELIVERED', message, { peerId, stream: name, cause: error })
    const abandoned = this.#outbox.abandon()
    this.#recount()
    for (const waiting of [...this.#waiting]) waiting.reject(error)
    this.#watchers.rejectAll(undelivered)
    for (const resolve of this.#writable.drain()) resolve() // whatever trySend says now
    return abandoned
  }

  #flushAccepted(signal: AbortSignal | undefined): Promise<void> {
    if (this.#outbox.messages === 0) return DONE
    return this.#watchers.watch(this.#outbox.lastSequence, false, signal, () => signal?.reason).then(() => undefined)
  }

  #hasRoom(size: number): boolean {
    if (this.#session === undefined) return this.#options.roomWhileAway()
    if (this.#full && !(this.#outbox.belowLowMark && this.#mayKeep(0, 0.5))) return false
    this.#full = !(this.#outbox.fits(size) && this.#mayKeep(size + MESSAGE_OVERHEAD, 1))
    this.#refused = this.#full ? size : 0
    return !this.#full
  }

  /** Whether so much more stays within this part of what may be kept. A name always has its share of it: others cannot take that. */
  #mayKeep(cost: number, part: number): boolean {
    const { kept } = this.#options
    const own = this.#outbox.messages === 0 || this.#outbox.cost + cost <= kept.max / STREAM_NAMES_MAX
    if (own || kept.hasRoom(cost, part)) return true
    if (!this.#awaitsRoom) {
      this.#awaitsRoom = true
      kept.wait(cost, part, () => {
        this.#awaitsRoom = false
        this.#advance()
      })
    }
    return false
  }

  #recount(): void {
    const { cost } = this.#outbox
    this.#account.set(cost, cost)
  }

  #accept(data: Uint8Array, confirm: boolean): number {
    const sequence = this.#outbox.append(data, confirm)
    this.#recount()
    const { counts } = this.#options
    counts.messagesSent++
    counts.bytesSent += data.length
    this.#write(data.length)
    return sequence
  }

  /** Asks the peer for credit where it is needed, for all that has come when the caller is done. */
  #ask(): void {
    if (this.#asks || this.#session === undefined) return
    this.#asks = true
    queueMicrotask(() => {
      this.#asks = false
      this.#askNow()
    })
  }

  #askNow(): void {
    const session = this.#session
    if (session === undefined) return
    // What `trySend` refused last counts as waiting, and a small message where a caller waits for room.
    const waits = !this.#waiting.empty || this.#refused > 0 || !this.#writable.empty
    const first = waits ? (this.#waiting.first?.size ?? this.#refused) + MESSAGE_OVERHEAD : 0
    const all = Math.max(first, this.#waiting.bytes + this.#waiting.size * MESSAGE_OVERHEAD)
    const wanted = this.#outbox.want({ first, all })
    if (wanted === undefined) return
    const { name } = this.#options
    const { limit, returned } = wanted
    if (returned !== undefined) session.port.tell({ type: 'return', name, returned })
    session.port.tell({ type: 'want', name, limit })
  }

  #write(added: number): void {
    const session = this.#session
    if (session === undefined) return
    if (!this.#outbox.sendable) return this.#ask()
    if (session.writer === undefined) {
      const { name, clock, shared } = this.#options
      session.writer = new Writer({ name, outbox: this.#outbox, port: session.port, clock, shared })
      return
    }
    this.#roused += added
    if (this.#roused < URGENT) return session.writer.wake()
    this.#roused = 0
    session.writer.rouse()
  }

  /** Accepts what waits, in order, as far as there is room. */
  #advance(): void {
    for (let next = this.#waiting.first; next !== undefined && this.#hasRoom(next.size); ) {
      next.accept(this.#accept(next.data.bytes, next.confirm))
      next.data.release()
      next = this.#waiting.first
    }
    if (this.#outbox.sendable) this.#write(0)
    this.#ask()
    this.#tellWritable()
  }

  #tellWritable(): void {
    if (this.#writable.empty || !this.#waiting.empty || !this.#hasRoom(this.#refused)) return
    for (const resolve of this.#writable.drain()) resolve()
  }

  /** Why a call may not even wait. */
  #mayNotWait(): GlueberryError | undefined {
    const { waitingMax, rejectWhenFull } = this.#options
    if (rejectWhenFull && this.#session === undefined) return bufferFull(this.#options)
    return this.#waiting.size < waitingMax ? undefined : tooManyWaiting(this.#options, waitingMax)
  }

  #wait(data: Uint8Array, confirm: boolean, signal: AbortSignal | undefined): Promise<number> {
    const problem = this.#mayNotWait()
    if (problem !== undefined) return Promise.reject(problem)
    const accepted = this.#waiting.add(data, confirm, signal, {
      accepted: (sequence) => (confirm ? this.#consumption(sequence, signal) : sequence),
      aborted: () => this.#advance(),
    })
    this.#ask()
    this.#options.waits()
    return accepted
  }

  #consumption(sequence: number, signal: AbortSignal | undefined): Promise<number> {
    return this.#watchers.watch(sequence, true, signal, () => unconfirmed(this.#options, sequence, signal?.reason))
  }
}
