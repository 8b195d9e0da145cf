import { MESSAGE_OVERHEAD, type Open, type Position } from '@glueberry/wire'
import { GlueberryError } from '../errors.ts'
import type { PeerId } from '../peer-id.ts'
import type { Budget } from './budget.ts'
import type { CreditPool } from './credit-pool.ts'
import { Failures } from './failures.ts'
import { InFlight, placeOf } from './in-flight.ts'
import { ReceivedMessage } from './message.ts'
import { MessageParts, partsMax } from './message-parts.ts'
import type { OpenedRecord } from './opened-record.ts'
import { ReceiveCredit, type ReceiveCreditOptions } from './receive-credit.ts'

export interface InboxOptions extends ReceiveCreditOptions {
  readonly peerId: PeerId
  readonly name: string
  /** The sender's, as it runs now. */
  readonly instance: Uint8Array
  /** The last sequence that was received and consumed before. */
  readonly received: number
  readonly messageSize: number
}

/** What frames a message or a part of one, in bytes. */
const FRAMING = 5

/**
 * Messages of one peer on one name, from their record to their consumption: order, credit, position.
 * No I/O and no waiting; docs/protocol.md, "Flow control" and "Resume".
 */
export class Inbox {
  readonly peerId: PeerId
  readonly name: string
  readonly #options: InboxOptions
  readonly #credit: ReceiveCredit
  #queue: ReceivedMessage[] = []
  #first = 0 // index of the oldest in the queue
  #old = 0 // how many of the queue, from the front, are of an earlier instance of the sender
  /** Taken and not yet settled. */
  readonly #inFlight = new InFlight()
  /** Those that are of earlier instances of the sender: their sequences say nothing. */
  readonly #oldInFlight = new Set<ReceivedMessage>()
  /** Messages whose sender waits for their consumption. */
  readonly #confirms = new Set<ReceivedMessage>()
  readonly #parts = new MessageParts()
  #held = 0
  #partial = 0 // bytes of a record that is not whole
  #received = 0
  #consumed = 0
  #redeliveredThrough = 0
  /** The sender's instance, as a text for message ids. */
  #instance: string
  readonly failures: Failures = new Failures()
  /** The name is accepted no longer. */
  #withdrawn = false
  #told = 0 // the position that the sender was told last

  constructor(options: InboxOptions) {
    this.#options = options
    this.#credit = new ReceiveCredit(options)
    this.peerId = options.peerId
    this.name = options.name
    this.#instance = hex(options.instance)
    this.#received = options.received
    this.#consumed = options.received
  }

  /** The peer's. */
  get budget(): Budget {
    return this.#options.budget
  }

  /** Messages that wait to be taken. */
  get waiting(): number {
    return this.#queue.length - this.#first
  }

  /** Messages that are taken and not settled. */
  get inFlight(): number {
    return this.#inFlight.size + this.#oldInFlight.size
  }

  /** Cost of everything that is here: waiting, in handlers, half received. */
  get held(): number {
    return this.#held + this.#partial
  }

  /** The longest plaintext of a record that the credit leaves room for: its messages and what frames them, in bytes. */
  get longestRecord(): number {
    const { left } = this.#credit
    return left + left / 256 + FRAMING * partsMax(this.#options.messageSize)
  }

  /** Whether there is hardly room for more in this session. */
  get full(): boolean {
    return this.#credit.isFull(this.#held)
  }

  get position(): Position {
    return { received: this.#received, consumed: this.#consumed }
  }

  /** The sender runs as a new instance, which counts from 1. What is here stays, as an earlier instance's. */
  newInstance(instance: Uint8Array): void {
    this.#instance = hex(instance)
    this.failures.clear()
    this.#confirms.clear() // who waited for these is gone
    this.#old = this.waiting
    for (const message of this.#inFlight.drain()) this.#oldInFlight.add(message)
    this.#received = 0
    this.#consumed = 0
  }

  /** The name is accepted no longer: what is here is dropped, and what still comes in this session is thrown away. */
  withdraw(): void {
    this.#withdrawn = true
    this.clear()
    this.#credit.close(0)
  }

  /** A session begins, in which everything comes out of this pool until the sender asks for more. */
  attach(pool: CreditPool): void {
    this.#partial = 0
    this.#dropParts()
    this.#told = this.#consumed
    this.#credit.attach(pool, this.held)
  }

  /** The session is established: its window may grow. */
  establish(): void {
    this.#credit.establish()
  }

  /** The session is over: nothing is promised any more, and half a message is nothing. */
  detach(): void {
    this.failures.detach()
    this.#partial = 0
    this.#dropParts()
    this.#credit.detach(this.held)
  }

  /** Counts in the budgets what is here, and what is promised. Messages that come are counted when it is called. */
  recount(): void {
    this.#credit.recount(this.held)
  }

  /**
   * The peer's stream for this name opens. Returns what it has given up, if anything.
   *
   * @throws GlueberryError `PROTOCOL` for a sequence that was received before
   */
  open({ firstSequence, redeliveredThrough }: Open): { from: number; count: number } | undefined {
    if (firstSequence <= this.#received) {
      throw this.#protocolError(`message ${firstSequence} came twice`)
    }
    const skipped = { from: this.#received + 1, count: firstSequence - 1 - this.#received }
    const fresh = this.#received === 0
    this.#received = firstSequence - 1
    this.#redeliveredThrough = redeliveredThrough
    this.#moveConsumed()
    return skipped.count > 0 && !fresh ? skipped : undefined
  }

  /** So many bytes of a record are here that is not whole. */
  partial(bytes: number): void {
    if (this.#withdrawn) return
    this.#partial = bytes
    this.recount()
  }

  /** Part of a message. @throws GlueberryError `PROTOCOL` above the credit or the size limit */
  part(record: OpenedRecord, start: number, end: number): void {
    if (this.#withdrawn) return this.#spend(end - start) // thrown away
    this.#admit(end - start, end - start)
    if (this.#parts.count > partsMax(this.#options.messageSize)) {
      throw this.#protocolError('a message comes in too many parts')
    }
    this.#parts.push(record.takeAlone(start, end))
  }

  /** The rest of a message, or a whole one; `undefined` when it is thrown away. @throws GlueberryError `PROTOCOL` above the credit or the size limit */
  message(
    record: OpenedRecord,
    start: number,
    end: number,
    confirm: boolean,
    receivedAt: number,
  ): ReceivedMessage | undefined {
    if (this.#withdrawn) return void this.#spend(end - start + MESSAGE_OVERHEAD)
    this.#admit(end - start, end - start + MESSAGE_OVERHEAD)
    const data = this.#parts.count === 0 ? record.take(start, end) : this.#parts.join(record.bytes.subarray(start, end))
    if (this.#received === Number.MAX_SAFE_INTEGER) throw this.#protocolError('messages beyond 2^53 − 1')
    const sequence = ++this.#received
    const message = new ReceivedMessage(
      this.peerId,
      this.name,
      data,
      sequence,
      sequence <= this.#redeliveredThrough,
      receivedAt,
      this.#instance,
    )
    this.#queue.push(message)
    if (confirm) this.#confirms.add(message)
    return message
  }

  /** The oldest message, which is then in flight until it is settled. */
  take(): ReceivedMessage | undefined {
    const message = this.#queue[this.#first]
    if (message === undefined) return undefined
    this.#first++
    if (this.#first > 1024 || this.#first === this.#queue.length) {
      this.#queue = this.#queue.slice(this.#first)
      this.#first = 0
    }
    if (this.#old > 0) {
      this.#old--
      this.#oldInFlight.add(message)
    } else this.#inFlight.push(message)
    return message
  }

  /** It was taken, and not consumed: it is the next one to be taken again, of those behind it. */
  putBack(message: ReceivedMessage): void {
    const old = this.#oldInFlight.size > 0 && this.#oldInFlight.delete(message)
    if (!old && !this.#inFlight.remove(message)) return
    // The old ones come first, and both sections are in order of sequence.
    const fresh = this.#first + this.#old
    const [from, to] = old ? [this.#first, fresh] : [fresh, this.#queue.length]
    this.#queue.splice(placeOf(message.sequence, this.#queue, from, to), 0, message)
    if (old) this.#old++
  }

  /**
   * The application has consumed it: makes room, and moves the position once nothing before it is left.
   * Returns how soon the sender should learn of it: at once only what brings it something, since the guard of its session
   * charges for the rest. `failed`: without success; `frozen`: no more credit is given.
   */
  settle(message: ReceivedMessage, failed: boolean, frozen: boolean): 'now' | 'soon' {
    const old = this.#oldInFlight.size > 0 && this.#oldInFlight.delete(message)
    if (!old && !this.#inFlight.remove(message)) return 'soon'
    const { cost, sequence } = message
    if (failed && !old && this.#confirms.has(message)) {
      this.failures.add(sequence)
    }
    this.#held -= cost
    const consumed = this.#consumed
    this.#moveConsumed()
    this.#credit.take(cost, this.held)
    const awaited = this.#confirms.size > 0 && this.#confirms.delete(message)
    if (awaited && this.#consumed > consumed) return 'now'
    const { room } = this.#credit
    return this.#grants(frozen) && this.#credit.growth(this.#held) >= room / 4 ? 'now' : 'soon'
  }

  /** What the sender is told: how far the application is, and all the credit that there is room for (none, when `frozen`). */
  acknowledge(frozen: boolean): Position & { readonly limit: number } {
    this.#told = this.#consumed
    return { ...this.position, limit: this.#credit.tell(this.#held, this.#grants(frozen)) }
  }

  /** Whether the sender would learn nothing by an acknowledgement. */
  isTold(frozen: boolean): boolean {
    return this.#told === this.#consumed && !(this.#grants(frozen) && this.#credit.growth(this.#held) > 0)
  }

  /** The sender waits for this limit. */
  want(limit: number): void {
    this.#credit.want(limit)
  }

  /** Grants what the sender waits for; or else says what has no room for it: the name itself, until something is taken, or a budget. */
  grant(): 'name' | 'own' | 'parent' | undefined {
    return this.#credit.grant(this.held)
  }

  /** The sender has given back so much of its credit in this session in total. @throws GlueberryError `PROTOCOL` for more than it has */
  giveBack(returned: number): void {
    if (this.#credit.giveBack(returned, this.held)) return
    throw this.#protocolError('it gives back credit that it does not have')
  }

  /** Drops everything. */
  clear(): void {
    this.#queue = []
    this.#first = 0
    this.#old = 0
    this.#inFlight.drain()
    this.#oldInFlight.clear()
    this.#confirms.clear()
    this.#dropParts()
    this.#partial = 0
    this.#held = 0
    this.recount()
  }

  #grants(frozen: boolean): boolean {
    return !frozen || this.#held === 0
  }

  /** Of what is thrown away nobody sends more than the credit either. @throws GlueberryError `PROTOCOL` */
  #spend(cost: number): void {
    if (!this.#credit.spend(cost)) throw this.#protocolError('it sent more than its credit')
  }

  /** Checks size and credit before anything is kept. */
  #admit(bytes: number, cost: number): void {
    const { messageSize } = this.#options
    if (this.#parts.bytes + bytes > messageSize)
      throw this.#protocolError(`a message is larger than ${messageSize} bytes`)
    this.#spend(cost)
    this.#held += cost
  }

  #dropParts(): void {
    this.#held -= this.#parts.bytes
    this.#parts.drop()
  }

  #moveConsumed(): void {
    if (this.#old > 0 || this.#oldInFlight.size > 0) return // an earlier instance's come first: they say nothing about this one's
    const { oldest } = this.#inFlight
    const waiting = this.#queue[this.#first]
    const next = Math.min(oldest?.sequence ?? Infinity, waiting?.sequence ?? Infinity) // one may have been put back
    this.#consumed = Math.min(next - 1, this.#received)
  }

  #protocolError(what: string): GlueberryError {
    return new GlueberryError(
      'PROTOCOL',
      `${this.peerId} broke the protocol on ${JSON.stringify(this.name)}: ${what}`,
      {
        peerId: this.peerId,
        stream: this.name,
      },
    )
  }
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
