import { type Acknowledgement, equalBytes, type Failure, MEMORY_LENGTH, type Open, type Ready } from '@glueberry/wire'
import type { Clock } from '../clock.ts'
import { GlueberryError } from '../errors.ts'
import type { PeerId } from '../peer-id.ts'
import type { Due, SessionPort } from '../session-port.ts'
import { AcknowledgementSchedule } from './acknowledgement-schedule.ts'
import type { Budget } from './budget.ts'
import type { Counts } from './counts.ts'
import { CreditPool } from './credit-pool.ts'
import type { GrantQueue } from './grant-queue.ts'
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
  /** Cost that the peer may write before it has asked for more. */
  readonly pool: number
  /** One of so many names, whose sender asks, is granted so much at once. */
  firstWindow(names: number): number
  readonly windowMax: number
  /** Where senders of all peers wait for credit. */
  readonly grants: GrantQueue
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
  readonly pool: CreditPool
  /** Shared with other sessions: it is replaced, never changed. */
  names: ReadonlySet<string>
  readonly opened: Set<string>
  /** Names that were accepted earlier in this session; with the inbox, as long as the peer may still open its stream and use its credit. */
  readonly withdrawn: Map<string, Inbox | undefined>
  /** Data streams that the peer may open, and has opened. */
  granted: number
  streams: number
  /** Once it is established. */
  port: SessionPort | undefined
  readonly acknowledgements: AcknowledgementSchedule
}

/** Everything about receiving from one peer: the record of its instance, its inboxes, their credit, acknowledgements. */
export class Receiver {
  readonly #options: ReceiverOptions
  readonly #inboxes = new Map<string, Inbox>()
  /** The sender's instance that the positions are of, and our own mark of this record. */
  #record: SenderRecord | undefined
  #session: Session | undefined

  constructor(options: ReceiverOptions) {
    this.#options = options
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

  /** This side becomes ready for the peer's running instance: its streams are accepted from here on. */
  begin(instance: Uint8Array): Omit<Ready, 'type'> {
    const { clock } = this.#options
    this.end()
    const names = this.#options.names()
    if (this.#record === undefined) {
      this.#record = { instance, memory: clock.randomBytes(MEMORY_LENGTH) }
    } else if (!equalBytes(this.#record.instance, instance)) {
      this.#record.instance = instance
      for (const inbox of this.#inboxes.values()) inbox.newInstance(instance)
    }
    // What is held here already came out of an earlier pool: sessions that end again and again bring no more. And peers that
    // come and go may leave messages here: without room for any, there is no pool either.
    const { budget } = this.#options
    const pool = new CreditPool(budget.hasRoom(0, 1) ? Math.max(0, this.#options.pool - this.held) : 0)
    this.#session = {
      pool,
      names,
      opened: new Set(),
      withdrawn: new Map(),
      granted: names.size,
      streams: 0,
      port: undefined,
      acknowledgements: new AcknowledgementSchedule(clock),
    }
    for (const inbox of this.#inboxes.values()) inbox.attach(pool)
    const positions = new Map([...this.#inboxes].map(([name, inbox]) => [name, inbox.position]))
    const failed = new Map([...this.#inboxes].map(([name, inbox]) => [name, inbox.failures.last]))
    for (const [name, sequences] of failed) if (sequences.length === 0) failed.delete(name)
    return { memory: this.#record.memory, pool: pool.size, positions, failed }
  }

  /** The session is established: the peer may ask for credit. */
  attach(port: SessionPort): void {
    const session = this.#session
    if (session === undefined) return
    session.port = port
    for (const inbox of this.#inboxes.values()) inbox.establish()
    session.acknowledgements.begin(() => port.requestAcknowledgement())
  }

  /** The peer waits for a limit of one name. @throws GlueberryError `PROTOCOL` */
  want(name: string, limit: number): void {
    const session = this.#session
    if (session?.withdrawn.has(name) === true) return // the peer does not know it yet
    const inbox = this.#acceptedInbox(name)
    inbox.want(limit)
    this.#options.grants.ask(inbox, () => this.#session?.acknowledgements.now(inbox))
  }

  /** The peer gives back credit of one name that it does not use. @throws GlueberryError `PROTOCOL` */
  returned(name: string, returned: number): void {
    if (this.#session?.withdrawn.has(name) === true) return
    this.#acceptedInbox(name).giveBack(returned)
  }

  /** The session is over. */
  end(): void {
    const session = this.#session
    if (session === undefined) return
    this.#session = undefined
    session.acknowledgements.end()
    for (const inbox of this.#inboxes.values()) {
      this.#options.grants.drop(inbox)
      inbox.detach()
    }
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
    if (session === undefined || !accepted) throw this.#notAccepted(name)
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
      inbox.attach(session.pool)
      inbox.withdraw()
      return inbox
    }
    const inbox = this.#acceptedInbox(name)
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
      const frozen = this.#options.frozen()
      const failed = inbox.failures.take()
      if (failed.length === 0 && inbox.isTold(frozen)) continue
      const { consumed, limit } = inbox.acknowledge(frozen)
      acknowledgements.push({ name, consumed, limit })
      for (const sequence of failed) failures.push({ name, sequence })
    }
    return { failures, acknowledgements }
  }

  /**
   * One more name is accepted; the peer learns of it by STREAMS. Returns false for a name that was withdrawn in this
   * session: only the next one can accept it again.
   */
  accept(name: string): boolean {
    const session = this.#session
    if (session === undefined) return true
    if (session.withdrawn.has(name)) return false
    session.names = new Set([...session.names, name])
    session.granted++
    return true
  }

  /**
   * A name is accepted no longer: what waits on it is dropped, and what still comes is thrown away. That is forgetting:
   * a peer that learns of it too late sends again, marked, what was not consumed.
   */
  withdraw(name: string): Inbox | undefined {
    const session = this.#session
    const inbox = this.#inboxes.get(name)
    if (session?.names.has(name) === true) {
      session.names = new Set([...session.names].filter((each) => each !== name))
      session.withdrawn.set(name, session.opened.has(name) ? undefined : inbox)
    }
    if (inbox === undefined) return undefined
    this.#options.grants.drop(inbox)
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

  /** The inbox of a name that is accepted in this session. @throws GlueberryError `PROTOCOL` for another one */
  #acceptedInbox(name: string): Inbox {
    const session = this.#session
    if (session?.names.has(name) !== true) throw this.#notAccepted(name)
    let inbox = this.#inboxes.get(name)
    if (inbox === undefined) {
      inbox = this.#makeInbox(name)
      inbox.attach(session.pool)
      if (session.port !== undefined) inbox.establish()
    }
    return inbox
  }

  #notAccepted(name: string): GlueberryError {
    const { peerId } = this.#options
    const text = `${peerId} sends on ${JSON.stringify(name)}, which was not accepted`
    return new GlueberryError('PROTOCOL', text, { peerId, stream: name })
  }

  #newInbox(name: string, received: number): Inbox {
    const { peerId, budget, messageSize, windowMax } = this.#options
    const firstWindow = this.#options.firstWindow(this.#options.names().size)
    const { instance } = this.#record as SenderRecord
    return new Inbox({ peerId, name, instance, received, messageSize, firstWindow, windowMax, budget })
  }

  #makeInbox(name: string, received = 0): Inbox {
    const inbox = this.#newInbox(name, received)
    this.#inboxes.set(name, inbox)
    return inbox
  }
}
