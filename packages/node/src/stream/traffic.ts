import { type Acknowledgement, equalBytes, FAILED_MAX, type Failure, type Ready } from '@glueberry/wire'
import type { Cancellable, Clock } from '../clock.ts'
import { type ErrorCode, GlueberryError } from '../errors.ts'
import { checkName } from '../options/check.ts'
import type { PeerId } from '../peer-id.ts'
import type { Due, SessionPort, StreamsPort } from '../session-port.ts'
import type { Budget } from './budget.ts'
import type { Counts } from './counts.ts'
import { CreditPool, NO_POOL } from './credit-pool.ts'
import { Outbox } from './outbox.ts'
import type { Receiver } from './receiver.ts'
import { Sender, type SendOptions } from './sender.ts'

/** Credit that is not used for so long is given back, in milliseconds. */
const IDLE = 1000

/** What is remembered of a peer that is away and for which nothing is kept: how far both sides were. */
export interface Remembered {
  /** The peer's mark of its record of us. */
  readonly memory: Uint8Array | undefined
  /** The last sequence that was sent on each name. */
  readonly sent: ReadonlyMap<string, number>
  /** The highest of those of names that the peer has withdrawn. */
  readonly sentOnWithdrawn: number
}

export interface TrafficOptions {
  readonly peerId: PeerId
  readonly remembered: Remembered | undefined
  readonly clock: Clock
  readonly receiver: Receiver
  readonly messageSize: number
  readonly sendBuffer: number
  readonly rejectWhenFull: boolean
  readonly waitingMax: number
  /** What is kept for this peer, on all names. */
  readonly kept: Budget
  undelivered(name: string, from: number, count: number): void
  readonly counts: Counts
  /** A call of `send` waits on this name. */
  waits(name: string): void
}

/** All messages between this node and one peer: a sender for each name in use, and the receiver. */
export class Traffic implements StreamsPort {
  readonly #options: TrafficOptions
  readonly #senders = new Map<string, Sender>()
  /** The last sequence of names that the peer has withdrawn: should it accept one again, its messages count on behind. One number for all: names may be many. */
  #sentOnWithdrawn: number
  #port: SessionPort | undefined
  /** The peer's mark of its record of us, as of the last session. */
  #memory: Uint8Array | undefined
  // What the present session's READY said, for names that are first used later in it.
  /** Credit of the present session for all names together. */
  #pool: CreditPool = NO_POOL
  #giveBack: Cancellable | undefined // while a name has credit that it may not need
  #positions: Ready['positions'] | undefined
  #forgotten = false
  /** What may be sent: our own limit, and the peer's as far as it is known. */
  #largestMessage: number

  constructor(options: TrafficOptions) {
    this.#options = options
    this.#memory = options.remembered?.memory
    this.#largestMessage = options.messageSize
    this.#sentOnWithdrawn = options.remembered?.sentOnWithdrawn ?? 0
    for (const [name, last] of options.remembered?.sent ?? [])
      this.#senders.set(name, this.#makeSender(name, new Outbox(last)))
  }

  /** What is to be remembered; nothing may be kept. */
  get remembered(): Remembered {
    return {
      memory: this.#memory,
      sent: new Map([...this.#senders].map(([name, { outbox }]) => [name, outbox.lastSequence])),
      sentOnWithdrawn: this.#sentOnWithdrawn,
    }
  }

  get receiver(): Receiver {
    return this.#options.receiver
  }

  /** Everything that `send` was called with and that is not consumed yet. */
  buffered(name?: string): { readonly messages: number; readonly bytes: number } {
    let messages = 0
    let bytes = 0
    for (const [each, sender] of this.#senders) {
      if (name !== undefined && each !== name) continue
      messages += sender.messages
      bytes += sender.bytes
    }
    return { messages, bytes }
  }

  /** What is kept, by name. */
  unsent(): { readonly name: string; readonly count: number }[] {
    return [...this.#senders]
      .map(([name, sender]) => ({ name, count: sender.messages }))
      .filter(({ count }) => count > 0)
  }

  /** Resolves when `trySend` would accept what it refused last, or a small message. @throws GlueberryError where `send` would reject */
  writable(name: string, signal: AbortSignal | undefined): Promise<void> {
    return this.#senderFor(name, 0).writable(signal)
  }

  /** Resolves with the message's sequence. @throws GlueberryError when the name or the message cannot be sent at all */
  send(name: string, data: Uint8Array, options: SendOptions): Promise<number> {
    return this.#senderFor(name, data.length).send(data, options)
  }

  /** @throws GlueberryError where `send` would reject */
  trySend(name: string, data: Uint8Array): boolean {
    return this.#senderFor(name, data.length).trySend(data)
  }

  /** Resolves when everything that was sent before, on this name or on all, is consumed. */
  async flush(name: string | undefined, signal: AbortSignal | undefined): Promise<void> {
    const senders = name === undefined ? [...this.#senders.values()] : [this.#senders.get(name)]
    await Promise.all(senders.map((sender) => sender?.flush(signal)))
  }

  begin(instance: Uint8Array): Omit<Ready, 'type'> {
    return this.receiver.begin(instance)
  }

  due(): Due {
    return this.receiver.acknowledgements()
  }

  /**
   * A session is established. Returns whether the peer still knew how far it was.
   *
   * @throws GlueberryError `PROTOCOL` when its READY cannot be
   */
  attach(port: SessionPort, ready: Ready): boolean {
    const resumed = this.#memory !== undefined && equalBytes(this.#memory, ready.memory)
    const forgotten = this.#memory !== undefined && !resumed
    this.#port = port
    this.#largestMessage = Math.min(port.largestMessage, this.#options.messageSize)
    this.#pool = new CreditPool(ready.pool)
    this.#positions = ready.positions
    this.#forgotten = forgotten
    this.receiver.attach(port)
    for (const [name, { received }] of ready.positions) {
      if (received > 0 && !this.#senders.has(name)) throw this.#neverSent(name)
    }
    // Before what is consumed is told: a failure is consumed too.
    for (const [name, sequences] of ready.failed) {
      const sender = this.#senders.get(name)
      for (const sequence of sequences) sender?.failed(sequence)
      const consumed = ready.positions.get(name)?.consumed ?? 0
      if (sequences.length === FAILED_MAX) sender?.failedBefore(Math.min(...sequences), consumed)
    }
    for (const [name, sender] of this.#senders) {
      if (!port.remoteStreams.has(name)) {
        this.#dropSender(name, sender)
        continue
      }
      if (this.#largestMessage < this.#options.messageSize && sender.largest() > this.#largestMessage) {
        // Accepted before the peer's limit was known. One of them would end this session, and every later one.
        this.#abandonSender(name, sender, 'MESSAGE_TOO_LARGE', this.#tooLarge(name, sender.largest()).message)
      }
      this.#attachSender(name, sender)
    }
    this.#memory = ready.memory // only now: a session that ends before this has marked nothing
    return resumed
  }

  /** The peer's application has consumed these without success. Returns whether one of them was sent to be confirmed, and this is the first word of it. */
  failed(failures: readonly Failure[]): boolean {
    let news = false
    for (const { name, sequence } of failures) news = this.#senders.get(name)?.failed(sequence) === true || news
    return news
  }

  /** The peer accepts these names no longer: what is kept for them is given up. */
  withdrawn(names: readonly string[]): void {
    for (const name of names) {
      const sender = this.#senders.get(name)
      if (sender === undefined) continue
      this.#dropSender(name, sender)
      sender.detach(true)
    }
  }

  /** The session is over; with a goodbye, streams end in good order. */
  detach(orderly: boolean): void {
    this.#port = undefined
    this.#giveBack?.cancel()
    this.#giveBack = undefined
    this.receiver.end()
    for (const sender of this.#senders.values()) sender.detach(orderly)
  }

  /** Returns whether they brought anything. @throws GlueberryError `PROTOCOL` */
  acknowledge(acknowledgements: readonly Acknowledgement[]): boolean {
    let progress = false
    const { left } = this.#pool
    for (const { name, consumed, limit } of acknowledgements) {
      const sender = this.#senders.get(name)
      if (sender?.attached === true) progress = sender.acknowledge(consumed, limit) || progress
      else if (consumed > 0 || limit > 0) throw this.#neverSent(name)
    }
    if (this.#pool.left > left) for (const sender of this.#senders.values()) sender.poolHasRoom()
    this.#giveBackLater()
    return progress
  }

  want(name: string, limit: number): void {
    this.receiver.want(name, limit)
  }

  returned(name: string, returned: number): void {
    this.receiver.returned(name, returned)
  }

  /** While some credit may not be needed: looks again after a while. */
  #giveBackLater(): void {
    if (this.#giveBack !== undefined || ![...this.#senders.values()].some(({ outbox }) => outbox.holdsCredit)) return
    this.#giveBack = this.#options.clock.setTimer(() => {
      this.#giveBack = undefined
      let again = false
      for (const sender of this.#senders.values()) again = sender.giveBackIfIdle() || again
      if (again) this.#giveBackLater()
    }, IDLE)
  }

  /** Gives up everything that is kept for the peer, and rejects every call that waits. */
  abandon(code: ErrorCode, message: string): void {
    for (const [name, sender] of this.#senders) this.#abandonSender(name, sender, code, message)
  }

  /** @throws GlueberryError `INVALID_STREAM`, `STREAM_NOT_ACCEPTED`, `MESSAGE_TOO_LARGE` */
  #senderFor(name: string, size: number): Sender {
    const sender = this.#senders.get(name)
    if (sender === undefined) checkName(name)
    const accepted = sender?.attached === true || this.#port?.remoteStreams.has(name) !== false
    if (!accepted) throw this.#notAccepted(name)
    if (size > this.#largestMessage) throw this.#tooLarge(name, size)
    return sender ?? this.#addSender(name)
  }

  #tooLarge(name: string, size: number): GlueberryError {
    const { peerId, messageSize } = this.#options
    const max = this.#largestMessage
    const whose = max === messageSize ? 'limits.messageSize' : `the limit of ${peerId}`
    return new GlueberryError('MESSAGE_TOO_LARGE', `a message of ${size} bytes is above ${whose}, ${max}`, {
      peerId,
      stream: name,
    })
  }

  #neverSent(name: string): GlueberryError {
    const { peerId } = this.#options
    return new GlueberryError('PROTOCOL', `${peerId} has received what it was never sent`, { peerId, stream: name })
  }

  #notAccepted(name: string): GlueberryError {
    const { peerId } = this.#options
    return new GlueberryError('STREAM_NOT_ACCEPTED', `${peerId} does not accept the stream ${JSON.stringify(name)}`, {
      peerId,
      stream: name,
      hint: 'its node must name it in `streams`',
    })
  }

  #addSender(name: string): Sender {
    const sender = this.#makeSender(name, new Outbox(this.#sentOnWithdrawn))
    this.#senders.set(name, sender)
    if (this.#port !== undefined) this.#attachSender(name, sender)
    return sender
  }

  #makeSender(name: string, outbox: Outbox): Sender {
    const { peerId, clock, waitingMax, rejectWhenFull, kept, counts, waits } = this.#options
    return new Sender({
      peerId,
      name,
      outbox,
      clock,
      waitingMax,
      rejectWhenFull,
      kept,
      roomWhileAway: () => this.#roomWhileAway(),
      shared: () => [...this.#senders.values()].filter((each) => each.busy).length > 1,
      counts,
      waits: () => waits(name),
    })
  }

  #attachSender(name: string, sender: Sender): void {
    const { received, consumed } = this.#positions?.get(name) ?? { received: 0, consumed: 0 }
    sender.attach(this.#port as SessionPort, { pool: this.#pool, received, consumed, forgotten: this.#forgotten })
  }

  /** The peer does not accept the name any more, and has forgotten what it had of it. */
  #dropSender(name: string, sender: Sender): void {
    this.#senders.delete(name) // first: what is told may send again
    this.#sentOnWithdrawn = Math.max(this.#sentOnWithdrawn, sender.outbox.lastSequence)
    this.#abandonSender(name, sender, 'STREAM_NOT_ACCEPTED', this.#notAccepted(name).message)
  }

  #abandonSender(name: string, sender: Sender, code: ErrorCode, message: string): void {
    const abandoned = sender.abandon(code, message)
    if (abandoned !== undefined) this.#options.undelivered(name, abandoned.from, abandoned.count)
  }

  /** While the peer is away: whether what is kept leaves room for more; one message always has it. */
  #roomWhileAway(): boolean {
    let cost = 0
    for (const { outbox } of this.#senders.values()) cost += outbox.cost
    return cost === 0 || cost < this.#options.sendBuffer
  }
}
