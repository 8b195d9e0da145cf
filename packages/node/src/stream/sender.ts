import { MESSAGE_OVERHEAD, STREAM_NAMES_MAX } from '@glueberry/wire'
import { withSignal } from '../async.ts'
import type { Clock } from '../clock.ts'
import { type ErrorCode, GlueberryError } from '../errors.ts'
import { free } from '../memory.ts'
import type { PeerId } from '../peer-id.ts'
import type { Kept } from './kept.ts'
import type { Abandoned, Outbox, SessionStart } from './outbox.ts'
import type { SessionPort } from './port.ts'
import { Writer } from './writer.ts'

/** With so much queued a writer does not wait for the next turn, in bytes. */
const URGENT = 256 * 1024

const ACCEPTED: Promise<void> = Promise.resolve()

interface Waiting {
  readonly data: Uint8Array
  readonly confirm: boolean
  /** Resolves when it no longer waits, accepted or not. */
  readonly over: Promise<void>
  /** It is accepted, with this sequence: an abort no longer takes it back. */
  accept(sequence: number): void
  reject(error: unknown): void
}

interface Watcher {
  readonly sequence: number
  resolve(): void
  reject(error: unknown): void
}

export interface SenderOptions {
  readonly peerId: PeerId
  readonly name: string
  readonly outbox: Outbox
  readonly clock: Clock
  /** How many calls may wait. */
  readonly waitingMax: number
  /** What is kept for the peer on all names together: each sender adds and subtracts its own. */
  readonly kept: Kept
  /** While the peer is away: whether more may be kept for it. */
  roomWhileAway(): boolean
  /** While the peer is away and there is no room: whether to reject instead of waiting. */
  readonly rejectWhenFull: boolean
  /** Whether other names of this peer wait to be written. */
  shared(): boolean
  /** A message was accepted. */
  accepted(bytes: number): void
}

export interface SendOptions {
  readonly confirm: boolean
  readonly signal: AbortSignal | undefined
}

/** Everything about sending to one peer on one name: who waits for credit, for consumption, and the writer. */
export class Sender {
  readonly #options: SenderOptions
  readonly #outbox: Outbox
  readonly #waiting: Waiting[] = []
  /** Ordered by sequence. */
  #watchers: Watcher[] = []
  #session: { readonly port: SessionPort; writer: Writer | undefined } | undefined
  /** Something did not fit: nothing is accepted until the low mark, so that a sender is not woken for every message. */
  #full = false
  #roused = 0 // bytes accepted since the writer was last roused
  #accounted = 0 // in what is kept for the peer

  constructor(options: SenderOptions) {
    this.#options = options
    this.#outbox = options.outbox
    this.#account()
  }

  /** What is kept, and its sequence numbers. */
  get outbox(): Outbox {
    return this.#outbox
  }

  get messages(): number {
    return this.#outbox.messages + this.#waiting.length
  }

  get bytes(): number {
    return this.#waiting.reduce((sum, { data }) => sum + data.length, this.#outbox.bytes)
  }

  get busy(): boolean {
    return this.#session !== undefined && this.#outbox.sendable
  }

  /** Whether `send` waits here for the peer to take something. */
  get blocked(): boolean {
    return this.#waiting.length > 0
  }

  /** Whether it sends in a session now. */
  get attached(): boolean {
    return this.#session !== undefined
  }

  /** Accepts now, or returns false where `send` would wait. Never overtakes who waits. @throws GlueberryError where `send` would reject */
  trySend(data: Uint8Array): boolean {
    if (this.#waiting.length === 0 && this.#hasRoom(data.length)) {
      this.#accept(data, false)
      return true
    }
    const problem = this.#mayNotWait()
    if (problem !== undefined) throw problem
    return false
  }

  /** Resolves when accepted; with `confirm`, when consumed. */
  send(data: Uint8Array, { confirm, signal }: SendOptions): Promise<void> {
    if (this.#waiting.length === 0 && this.#hasRoom(data.length)) {
      const sequence = this.#accept(data, confirm)
      return confirm ? this.#consumption(sequence, signal) : ACCEPTED
    }
    return this.#wait(data, confirm, signal)
  }

  /** Resolves when everything that was accepted before is consumed. */
  flush(signal: AbortSignal | undefined): Promise<void> {
    const last = this.#waiting.at(-1)
    const accepted = this.#flushAccepted(signal)
    if (last === undefined) return accepted
    const waiting = withSignal(last.over, signal).then(() => this.#flushAccepted(signal))
    return Promise.all([accepted, waiting]).then(() => undefined)
  }

  /** A session is established. @throws GlueberryError `PROTOCOL` when the peer claims what it cannot have */
  attach(port: SessionPort, start: SessionStart): void {
    if (!this.#outbox.begin(start)) throw this.#protocolError()
    this.#account()
    this.#session = { port, writer: undefined }
    this.#settle()
    this.#advance()
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
    if (!this.#outbox.acknowledge(consumed, limit)) throw this.#protocolError()
    this.#account()
    this.#settle()
    this.#advance()
    return this.#outbox.progress > before
  }

  /** The largest message that is kept or waits, in bytes; looks at each. */
  largest(): number {
    return this.#waiting.reduce((largest, { data }) => Math.max(largest, data.length), this.#outbox.largest())
  }

  /** Gives up what is kept, and rejects everyone who waits. */
  abandon(code: ErrorCode, message: string): Abandoned | undefined {
    const { peerId, name } = this.#options
    const error = (): GlueberryError => new GlueberryError(code, message, { peerId, stream: name })
    const watchers = this.#watchers
    this.#watchers = []
    const abandoned = this.#outbox.abandon()
    this.#account()
    for (const waiting of this.#waiting.splice(0)) waiting.reject(error())
    for (const watcher of watchers)
      watcher.reject(new GlueberryError('UNDELIVERED', message, { peerId, stream: name, cause: error() }))
    return abandoned
  }

  #flushAccepted(signal: AbortSignal | undefined): Promise<void> {
    return this.#outbox.messages === 0 ? ACCEPTED : this.#watch(this.#outbox.lastSequence, signal, () => signal?.reason)
  }

  #hasRoom(size: number): boolean {
    if (this.#session === undefined) return this.#options.roomWhileAway()
    if (this.#full && !(this.#outbox.belowLowMark && this.#mayKeep(0, 0.5))) return false
    this.#full = !(this.#outbox.fits(size) && this.#mayKeep(size + MESSAGE_OVERHEAD, 1))
    return !this.#full
  }

  /** Whether so much more stays within this part of what may be kept. A name always has its share of it: others cannot take that. */
  #mayKeep(cost: number, part: number): boolean {
    const { kept } = this.#options
    const own = this.#outbox.messages === 0 || this.#outbox.cost + cost <= kept.max / STREAM_NAMES_MAX
    return own || kept.hasRoom(cost, part)
  }

  #account(): void {
    const { cost } = this.#outbox
    this.#options.kept.add(cost - this.#accounted)
    this.#accounted = cost
  }

  #accept(data: Uint8Array, confirm: boolean): number {
    const sequence = this.#outbox.append(data, confirm)
    this.#account()
    this.#options.accepted(data.length)
    this.#write(data.length)
    return sequence
  }

  #write(added: number): void {
    const session = this.#session
    if (session === undefined) return
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

  /** Admits who waits, in order, as far as there is room. */
  #advance(): void {
    for (let next = this.#waiting[0]; next !== undefined && this.#hasRoom(next.data.length); next = this.#waiting[0]) {
      this.#waiting.shift()
      next.accept(this.#accept(next.data, next.confirm))
      free(next.data.buffer)
    }
    if (this.#outbox.sendable) this.#write(0)
  }

  /** Why a call may not even wait. */
  #mayNotWait(): GlueberryError | undefined {
    const { peerId, name, waitingMax, rejectWhenFull } = this.#options
    if (rejectWhenFull && this.#session === undefined) {
      return new GlueberryError('BUFFER_FULL', `no more is kept for ${peerId} while it is away`, {
        peerId,
        stream: name,
      })
    }
    if (this.#waiting.length < waitingMax) return undefined
    return new GlueberryError(
      'TOO_MANY_WAITING',
      `${waitingMax} calls of send to ${peerId} on ${JSON.stringify(name)} wait already`,
      {
        peerId,
        stream: name,
        hint: 'await each send before the next one, or raise limits.waitingSends',
      },
    )
  }

  #wait(data: Uint8Array, confirm: boolean, signal: AbortSignal | undefined): Promise<void> {
    const problem = this.#mayNotWait()
    if (problem !== undefined) return Promise.reject(problem)
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        const index = this.#waiting.indexOf(waiting)
        if (index >= 0) this.#waiting.splice(index, 1)
        waiting.reject((signal as AbortSignal).reason)
        this.#advance()
      }
      const over = Promise.withResolvers<void>()
      const done = (): void => {
        signal?.removeEventListener('abort', abort)
        over.resolve()
      }
      const waiting: Waiting = {
        data: new Uint8Array(data), // a copy, also of a Buffer: the caller may reuse its memory before this is accepted
        confirm,
        over: over.promise,
        accept: (sequence) => {
          done()
          resolve(confirm ? this.#consumption(sequence, signal) : undefined)
        },
        reject: (error) => {
          done()
          reject(error)
        },
      }
      signal?.addEventListener('abort', abort, { once: true })
      this.#waiting.push(waiting)
    })
  }

  #consumption(sequence: number, signal: AbortSignal | undefined): Promise<void> {
    const { peerId, name } = this.#options
    return this.#watch(
      sequence,
      signal,
      () =>
        new GlueberryError(
          'UNCONFIRMED',
          `no longer waiting for ${peerId} to consume message ${sequence}; it is still being delivered`,
          {
            peerId,
            stream: name,
            cause: signal?.reason,
          },
        ),
    )
  }

  #watch(sequence: number, signal: AbortSignal | undefined, abortReason: () => unknown): Promise<void> {
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        this.#watchers = this.#watchers.filter((each) => each !== watcher)
        reject(abortReason())
      }
      const done = (): void => signal?.removeEventListener('abort', abort)
      const watcher: Watcher = {
        sequence,
        resolve: () => {
          done()
          resolve()
        },
        reject: (error) => {
          done()
          reject(error)
        },
      }
      if (signal?.aborted === true) return reject(abortReason())
      signal?.addEventListener('abort', abort, { once: true })
      this.#watchers.push(watcher) // always the last sequence: so they stay in order
    })
  }

  /** Tells who waited for what has been consumed by now. */
  #settle(): void {
    const { consumed } = this.#outbox
    let count = 0
    while ((this.#watchers[count]?.sequence ?? Number.POSITIVE_INFINITY) <= consumed) count++
    for (const watcher of this.#watchers.splice(0, count)) watcher.resolve()
  }

  #protocolError(): GlueberryError {
    const { peerId, name } = this.#options
    return new GlueberryError('PROTOCOL', `${peerId} acknowledged what it was never sent`, { peerId, stream: name })
  }
}
