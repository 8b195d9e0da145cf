import { type Acknowledgement, equalBytes, type Failure, MEMORY_LENGTH, type Open, type Ready } from '@glueberry/wire'
import type { Clock } from '../clock.ts'
import { GlueberryError } from '../errors.ts'
import type { PeerId } from '../peer-id.ts'
import type { Due, SessionPort } from '../session-port.ts'
import { AcknowledgementSchedule } from './acknowledgement-schedule.ts'
import { Account, type Budget } from './budget.ts'
import type { Counts } from './counts.ts'
import { Inbox } from './inbox.ts'
import type { ReceivedMessage } from './message.ts'

/** What is remembered of a sender that is away, when no message of it is held. */
export interface RememberedSender {
  readonly instance: Uint8Array
  readonly memory: Uint8Array
  /** The last sequence that was received, and consumed, on each name. */
  readonly received: ReadonlyMap<string, number>
}

export interface ReceiverOptions {
  readonly peerId: PeerId
  readonly remembered: RememberedSender | undefined
  readonly clock: Clock
  readonly budget: Budget
  readonly messageSize: number
  /** Credit that each of so many names begins with. */
  firstWindow(names: number): number
  readonly windowMax: number
  /** Names that this node accepts now. */
  names(): ReadonlySet<string>
  /** While draining: no new credit for names whose inbox is not empty. */
  frozen(): boolean
  readonly counts: Counts
  /** Messages wait in this inbox. */
  offer(inbox: Inbox): void
  skipped(name: string, from: number, count: number): void
}

/** What is remembered of a sender, beside its positions. */
interface SenderRecord {
  instance: Uint8Array
  memory: Uint8Array
}

interface Session {
  readonly firstWindow: number
  readonly names: Set<string>
  /** Names that were promised a first window and have no inbox yet. */
  readonly unused: Set<string>
  readonly opened: Set<string>
  /** Names that were accepted earlier in this session; with the inbox, as long as the peer may still open its stream and use its credit. */
  readonly withdrawn: Map<string, Inbox | undefined>
  /** Data streams that the peer may open, and has opened. */
  granted: number
  streams: number
  /** Once it is established: nothing is reserved before. */
  port: SessionPort | undefined
  readonly acknowledgements: AcknowledgementSchedule
}

/** Everything about receiving from one peer: the record of its instance, its inboxes, their budget, acknowledgements. */
export class Receiver {
  readonly #options: ReceiverOptions
  readonly #inboxes = new Map<string, Inbox>()
  /** First windows of names that have no inbox yet. */
  readonly #promised: Account
  /** The sender's instance that the positions are of, and our own mark of this record. */
  #record: SenderRecord | undefined
  #session: Session | undefined

  constructor(options: ReceiverOptions) {
    this.#options = options
    this.#promised = new Account(options.budget)
    const { remembered } = options
    if (remembered === undefined) return
    const { instance, memory, received } = remembered
    this.#record = { instance, memory }
    for (const [name, sequence] of received) {
      if (options.names().has(name)) this.#makeInbox(name, sequence)
      else this.#forget() // it was withdrawn meanwhile
    }
  }

  /** What is to be remembered, if there is anything; no message may be here. */
  get remembered(): RememberedSender | undefined {
    if (this.#record === undefined) return undefined
    const received = new Map([...this.#inboxes].map(([name, inbox]) => [name, inbox.position.received]))
    return { ...this.#record, received }
  }

  /** Cost of everything that is here. */
  get held(): number {
    return this.#options.budget.held
  }

  /** Whether a sender may still have to be told of a message that failed. */
  get hasFailures(): boolean {
    for (const inbox of this.#inboxes.values()) if (inbox.failures.last.length > 0) return true
    return false
  }

  /** How many names are accepted in the present session. */
  get names(): number {
    return this.#session?.names.size ?? 0
  }

  get inboxes(): Iterable<Inbox> {
    return this.#inboxes.values()
  }

  get hasSession(): boolean {
    return this.#session !== undefined
  }

  /**
   * This side becomes ready for the peer's running instance: its streams are accepted from here on.
   * `undefined` when the budget cannot hold a first window for every name.
   */
  begin(instance: Uint8Array): Omit<Ready, 'type'> | undefined {
    const { clock, budget } = this.#options
    this.end()
    const names = new Set(this.#options.names())
    const firstWindow = this.#options.firstWindow(names.size)
    if (this.#needed(names, firstWindow) > budget.left) return undefined

    if (this.#record === undefined) {
      this.#record = { instance, memory: clock.randomBytes(MEMORY_LENGTH) }
    } else if (!equalBytes(this.#record.instance, instance)) {
      this.#record.instance = instance
      for (const inbox of this.#inboxes.values()) inbox.newInstance(instance)
    }
    const unused = new Set([...names].filter((name) => !this.#inboxes.has(name)))
    this.#session = {
      firstWindow,
      names,
      unused,
      opened: new Set(),
      withdrawn: new Map(),
      granted: names.size,
      streams: 0,
      port: undefined,
      acknowledgements: new AcknowledgementSchedule(clock),
    }
    const limits = new Map<string, number>()
    for (const name of names) limits.set(name, this.#inboxes.get(name)?.attach(firstWindow) ?? firstWindow)
    const positions = new Map([...this.#inboxes].map(([name, inbox]) => [name, inbox.position]))
    const failed = new Map([...this.#inboxes].map(([name, inbox]) => [name, inbox.failures.last]))
    for (const [name, sequences] of failed) if (sequences.length === 0) failed.delete(name)
    return { memory: this.#record.memory, limits, positions, failed }
  }

  /** The session is established: what was promised is reserved. Returns false when there is no room for it any more. */
  attach(port: SessionPort): boolean {
    const session = this.#session
    if (session === undefined) return true
    const { budget } = this.#options
    if (this.#needed(session.names, session.firstWindow) > budget.left) return false
    session.port = port
    this.#promise()
    for (const inbox of this.#inboxes.values()) inbox.establish()
    session.acknowledgements.begin(() => port.requestAcknowledgement())
    return true
  }

  /** The session is over. */
  end(): void {
    const session = this.#session
    if (session === undefined) return
    this.#session = undefined
    session.acknowledgements.end()
    this.#promise()
    for (const inbox of this.#inboxes.values()) inbox.detach()
  }

  /** The peer opens one more data stream in this session. Returns whether it has a name for it. */
  admitStream(): boolean {
    const session = this.#session
    return session !== undefined && ++session.streams <= session.granted
  }

  /** The peer opens its stream for a name. @throws GlueberryError `PROTOCOL` */
  open(open: Open): Inbox {
    const { peerId, skipped } = this.#options
    const session = this.#session
    const { name } = open
    const accepted = session?.names.has(name) === true || session?.withdrawn.has(name) === true
    if (session === undefined || !accepted) {
      throw new GlueberryError('PROTOCOL', `${peerId} sends on ${JSON.stringify(name)}, which was not accepted`, {
        peerId,
        stream: name,
      })
    }
    if (session.opened.has(name)) {
      throw new GlueberryError('PROTOCOL', `${peerId} opened ${JSON.stringify(name)} twice in one session`, {
        peerId,
        stream: name,
      })
    }
    session.opened.add(name)
    if (session.withdrawn.has(name)) {
      // It was opened before the peer learned of it.
      const withdrawn = session.withdrawn.get(name)
      if (withdrawn !== undefined) return withdrawn
      const inbox = this.#newInbox(name, 0)
      inbox.attach(session.firstWindow)
      inbox.withdraw()
      return inbox
    }
    let inbox = this.#inboxes.get(name)
    if (inbox === undefined) {
      inbox = this.#makeInbox(name)
      this.#attachInbox(inbox, session)
    }
    const gap = inbox.open(open)
    if (gap !== undefined) {
      skipped(name, gap.from, gap.count)
      session.acknowledgements.soon(inbox)
    }
    return inbox
  }

  /** So many messages are there, of so many bytes, and of them so many marked as redelivered. */
  arrived(inbox: Inbox, messages: number, bytes: number, redelivered: number): void {
    const { counts, offer } = this.#options
    counts.messagesReceived += messages
    counts.bytesReceived += bytes
    counts.redelivered += redelivered
    inbox.recount()
    offer(inbox)
  }

  /** The application has consumed a message; `failed`: without success. */
  settle(inbox: Inbox, message: ReceivedMessage, failed: boolean): void {
    if (this.#inboxes.get(inbox.name) !== inbox) return // of a record that was dropped meanwhile
    const urgency = inbox.settle(message, failed, this.#options.frozen())
    if (this.#session === undefined) return // READY tells it
    this.#session.acknowledgements[urgency](inbox)
  }

  /** What the peer is told now. */
  acknowledgements(): Due {
    const acknowledgements: Acknowledgement[] = []
    const failures: Failure[] = []
    for (const inbox of this.#session?.acknowledgements.take() ?? []) {
      const { name } = inbox
      const { consumed, limit } = inbox.acknowledge(this.#options.frozen())
      acknowledgements.push({ name, consumed, limit })
      for (const sequence of inbox.failures.take()) failures.push({ name, sequence })
    }
    return { failures, acknowledgements }
  }

  /** Whether the budget has room for one more name. */
  get hasRoomForName(): boolean {
    return this.#session === undefined || this.#session.firstWindow <= this.#options.budget.left
  }

  /**
   * One more name is accepted, for which the budget must have room. The peer learns of it by STREAMS, then its first
   * limit. Returns false for a name that was withdrawn in this session: only the next one can accept it again.
   */
  accept(name: string): boolean {
    const session = this.#session
    if (session === undefined) return true
    if (session.withdrawn.has(name)) return false
    session.names.add(name)
    session.granted++
    const inbox = this.#inboxes.get(name) ?? this.#makeInbox(name)
    this.#attachInbox(inbox, session)
    session.acknowledgements.now(inbox)
    return true
  }

  /**
   * A name is accepted no longer: what waits on it is dropped, and what still comes is thrown away. That is forgetting:
   * a peer that learns of it too late sends again, marked, what was not consumed.
   */
  withdraw(name: string): Inbox | undefined {
    const session = this.#session
    const inbox = this.#inboxes.get(name)
    if (session?.names.delete(name) === true) session.withdrawn.set(name, session.opened.has(name) ? undefined : inbox)
    session?.unused.delete(name)
    this.#promise()
    if (inbox === undefined) return undefined
    inbox.withdraw()
    session?.acknowledgements.delete(inbox)
    this.#inboxes.delete(name)
    this.#forget()
    return inbox
  }

  /** Something of what was received is not known any more: the sender learns that by another mark. */
  #forget(): void {
    if (this.#record !== undefined) this.#record.memory = this.#options.clock.randomBytes(MEMORY_LENGTH)
  }

  /** Drops everything, the record too. */
  clear(): void {
    this.end()
    for (const inbox of this.#inboxes.values()) inbox.clear()
    this.#inboxes.clear()
    this.#record = undefined
  }

  /** What the budget must have for a first window of each name, beside what it counts already. */
  #needed(names: ReadonlySet<string>, firstWindow: number): number {
    let needed = 0
    for (const name of names) needed += Math.max(0, firstWindow - (this.#inboxes.get(name)?.held ?? 0))
    return needed
  }

  #newInbox(name: string, received: number): Inbox {
    const { peerId, budget, messageSize, windowMax } = this.#options
    const { instance } = this.#record as SenderRecord
    return new Inbox({ peerId, name, instance, received, messageSize, windowMax, budget })
  }

  #makeInbox(name: string, received = 0): Inbox {
    const inbox = this.#newInbox(name, received)
    this.#inboxes.set(name, inbox)
    return inbox
  }

  /** Its credit in this session begins, in place of what was promised to its name. */
  #attachInbox(inbox: Inbox, session: Session): void {
    session.unused.delete(inbox.name)
    this.#promise()
    inbox.attach(session.firstWindow)
    if (session.port !== undefined) inbox.establish()
  }

  /** Counts in the budget what is promised to names without an inbox. */
  #promise(): void {
    const session = this.#session
    const names = session?.port === undefined ? 0 : session.unused.size
    this.#promised.set(names * (session?.firstWindow ?? 0), 0)
  }
}
