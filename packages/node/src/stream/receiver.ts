import { type Acknowledgement, equalBytes, MEMORY_LENGTH, type Open, type Ready } from '@glueberry/wire'
import type { Cancellable, Clock } from '../clock.ts'
import { GlueberryError } from '../errors.ts'
import type { PeerId } from '../peer-id.ts'
import type { Budget } from './budget.ts'
import { Inbox } from './inbox.ts'
import type { ReceivedMessage } from './message.ts'
import type { SessionPort } from './port.ts'

/** An acknowledgement that is due waits for others so long at most, in milliseconds. */
const ACK_DELAY = 5

export interface ReceiverOptions {
  readonly peerId: PeerId
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
  /** Messages wait in this inbox. */
  offer(inbox: Inbox): void
  skipped(name: string, from: number, count: number): void
}

/** Everything about receiving from one peer: the record of its instance, its inboxes, their budget, acknowledgements. */
export class Receiver {
  readonly #options: ReceiverOptions
  readonly #inboxes = new Map<string, Inbox>()
  /** What each inbox counts in the budget now. */
  readonly #charged = new Map<Inbox, number>()
  /** The sender's instance that the positions are of, and our own mark of this record. */
  #record: { instance: Uint8Array; readonly memory: Uint8Array } | undefined
  #session:
    | {
        readonly firstWindow: number
        readonly names: Set<string>
        readonly opened: Set<string>
        port: SessionPort | undefined
      }
    | undefined
  readonly #due = new Set<Inbox>()
  #ackTimer: Cancellable | undefined // while something is due

  constructor(options: ReceiverOptions) {
    this.#options = options
  }

  /** Cost of everything that is here. */
  get held(): number {
    let held = 0
    for (const inbox of this.#inboxes.values()) held += inbox.held
    return held
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
    let needed = 0
    for (const name of names) needed += Math.max(0, firstWindow - (this.#inboxes.get(name)?.held ?? 0))
    if (needed > budget.left) return undefined

    if (this.#record === undefined) {
      this.#record = { instance, memory: clock.randomBytes(MEMORY_LENGTH) }
    } else if (!equalBytes(this.#record.instance, instance)) {
      this.#record.instance = instance
      for (const inbox of this.#inboxes.values()) inbox.newInstance()
    }
    this.#session = { firstWindow, names, opened: new Set(), port: undefined }
    const limits = new Map<string, number>()
    for (const name of names) limits.set(name, this.#grantFirst(name, firstWindow))
    const positions = new Map([...this.#inboxes].map(([name, inbox]) => [name, inbox.position]))
    return { memory: this.#record.memory, limits, positions }
  }

  /** The session is established. */
  attach(port: SessionPort): void {
    if (this.#session === undefined) return
    this.#session.port = port
    if (this.#due.size > 0) port.requestAcknowledgement()
  }

  /** The session is over. */
  end(): void {
    const session = this.#session
    if (session === undefined) return
    this.#session = undefined
    this.#ackTimer?.cancel()
    this.#ackTimer = undefined
    this.#due.clear()
    for (const name of session.names) {
      if (!this.#inboxes.has(name)) this.#options.budget.charge(-session.firstWindow)
    }
    for (const inbox of this.#inboxes.values()) {
      inbox.detach()
      this.#recharge(inbox)
    }
  }

  /** The peer opens its stream for a name. @throws GlueberryError `PROTOCOL` */
  open(open: Open): Inbox {
    const { peerId, skipped } = this.#options
    const session = this.#session
    const { name } = open
    if (session === undefined || !session.names.has(name)) {
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
    const inbox = this.#inboxes.get(name) ?? this.#makeInbox(name, session.firstWindow)
    const gap = inbox.open(open)
    if (gap !== undefined) {
      skipped(name, gap.from, gap.count)
      this.#acknowledgeSoon(inbox)
    }
    return inbox
  }

  /** Messages of the open stream are there. */
  arrived(inbox: Inbox): void {
    this.#recharge(inbox)
    this.#options.offer(inbox)
  }

  /** The application has consumed a message. */
  settle(inbox: Inbox, message: ReceivedMessage): void {
    if (this.#inboxes.get(inbox.name) !== inbox) return // of a record that was dropped meanwhile
    const urgency = inbox.settle(message)
    this.#recharge(inbox)
    if (urgency === 'now') this.#acknowledgeNow(inbox)
    else this.#acknowledgeSoon(inbox)
  }

  /** What the peer is told now. */
  acknowledgements(): Acknowledgement[] {
    const acknowledgements: Acknowledgement[] = []
    for (const inbox of this.#due) {
      const { consumed, limit } = inbox.acknowledge(this.#options.frozen())
      acknowledgements.push({ name: inbox.name, consumed, limit })
    }
    this.#due.clear()
    this.#ackTimer?.cancel()
    this.#ackTimer = undefined
    return acknowledgements
  }

  /** Whether the budget has room for one more name. */
  get hasRoomForName(): boolean {
    return this.#session === undefined || this.#session.firstWindow <= this.#options.budget.left
  }

  /** One more name is accepted, for which the budget must have room. The peer learns of it by STREAMS, then its first limit. */
  accept(name: string): void {
    const session = this.#session
    if (session === undefined) return
    session.names.add(name)
    this.#grantFirst(name, session.firstWindow)
    this.#acknowledgeNow(this.#inboxes.get(name) ?? this.#makeInbox(name, session.firstWindow))
  }

  /** Drops everything, the record too. */
  clear(): void {
    this.end()
    for (const inbox of this.#inboxes.values()) {
      inbox.clear()
      this.#recharge(inbox)
    }
    this.#inboxes.clear()
    this.#record = undefined
  }

  /** The first credit of a name in this session. Its inbox is made when it is first used. */
  #grantFirst(name: string, firstWindow: number): number {
    const { budget } = this.#options
    const inbox = this.#inboxes.get(name)
    if (inbox === undefined) {
      budget.charge(firstWindow)
      return firstWindow
    }
    const limit = inbox.attach(firstWindow)
    this.#recharge(inbox)
    return limit
  }

  #makeInbox(name: string, firstWindow: number): Inbox {
    const { peerId, budget, messageSize, windowMax } = this.#options
    const inbox: Inbox = new Inbox({
      peerId,
      name,
      messageSize,
      windowMax,
      reserve: (amount) => {
        const reserved = budget.reserve(amount)
        if (reserved) this.#charged.set(inbox, (this.#charged.get(inbox) ?? 0) + amount)
        return reserved
      },
    })
    this.#inboxes.set(name, inbox)
    inbox.attach(firstWindow)
    this.#charged.set(inbox, firstWindow) // promised since the session began
    return inbox
  }

  #recharge(inbox: Inbox): void {
    const before = this.#charged.get(inbox) ?? 0
    const after = inbox.charge
    if (after === before) return
    this.#options.budget.charge(after - before)
    this.#charged.set(inbox, after)
  }

  #acknowledgeSoon(inbox: Inbox): void {
    const session = this.#session
    if (session === undefined) return
    this.#due.add(inbox)
    this.#ackTimer ??= this.#options.clock.setTimer(() => {
      this.#ackTimer = undefined
      this.#session?.port?.requestAcknowledgement()
    }, ACK_DELAY)
  }

  #acknowledgeNow(inbox: Inbox): void {
    const session = this.#session
    if (session === undefined) return
    this.#due.add(inbox)
    if (session.port === undefined) this.#acknowledgeSoon(inbox)
    else session.port.requestAcknowledgement()
  }
}
