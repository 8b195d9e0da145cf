import { FrameCursor, FrameType, MESSAGE_OVERHEAD, type Open, RECORD_PLAINTEXT_MAX } from '@glueberry/wire'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parsePeerId } from '../src/index.ts'
import { Budget } from '../src/stream/budget.ts'
import { CreditPool } from '../src/stream/credit-pool.ts'
import { Inbox } from '../src/stream/inbox.ts'
import type { ReceivedMessage } from '../src/stream/message.ts'
import { OpenedRecord } from '../src/stream/opened-record.ts'
import { Outbox } from '../src/stream/outbox.ts'

// The two ends of one name without anything between them but records, which may be lost at any place. Histories are
// random: sends, records on their way, takes in and out of order, acknowledgements that are lost, cuts (a renewal is one
// that both sides want), a receiver that restarts or forgets, a sender that restarts or gives up. Whatever happens, each
// message arrives once and in order, or is told to be delivered again, or is told to be given up.

const peerId = parsePeerId('12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5')
const MESSAGE_SIZE = 150_000
const FIRST_WINDOW = MESSAGE_SIZE + MESSAGE_OVERHEAD
const WINDOW = 4 * FIRST_WINDOW
const POOL = 20_000

type Step =
  | { do: 'send'; size: number; confirm: boolean }
  | { do: 'write' }
  | { do: 'deliver' }
  | { do: 'take' }
  | { do: 'settle'; which: number }
  | { do: 'acknowledge'; lost: boolean }
  | { do: 'ask' }
  | { do: 'give back' }
  | { do: 'hear' }
  | { do: 'cut' }
  | { do: 'restart receiver' }
  | { do: 'restart sender' }
  | { do: 'give up' }

const size = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 0, max: 300 }) },
  { weight: 2, arbitrary: fc.integer({ min: 60_000, max: 70_000 }) },
  { weight: 2, arbitrary: fc.integer({ min: 100_000, max: MESSAGE_SIZE }) },
)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 10, arbitrary: fc.record({ do: fc.constant('send' as const), size, confirm: fc.boolean() }) },
  { weight: 10, arbitrary: fc.constant({ do: 'write' as const }) },
  { weight: 10, arbitrary: fc.constant({ do: 'deliver' as const }) },
  { weight: 8, arbitrary: fc.constant({ do: 'take' as const }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('settle' as const), which: fc.nat(3) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('acknowledge' as const), lost: fc.boolean() }) },
  { weight: 6, arbitrary: fc.constant({ do: 'ask' as const }) },
  { weight: 2, arbitrary: fc.constant({ do: 'give back' as const }) },
  { weight: 6, arbitrary: fc.constant({ do: 'hear' as const }) },
  { weight: 2, arbitrary: fc.constant({ do: 'cut' as const }) },
  { weight: 1, arbitrary: fc.constant({ do: 'restart receiver' as const }) },
  { weight: 1, arbitrary: fc.constant({ do: 'restart sender' as const }) },
  { weight: 1, arbitrary: fc.constant({ do: 'give up' as const }) },
)

class World {
  outbox = new Outbox()
  inbox!: Inbox
  budget = new Budget(Number.MAX_SAFE_INTEGER)
  sent = 0
  wire: Uint8Array<ArrayBuffer>[] = []
  /** What the sender asks for, and gives back, on its way. */
  asked: (() => void)[] = []
  /** What OPEN says in this session, once something was written. */
  open: Open | undefined
  opened = false
  inFlight: ReceivedMessage[] = []
  /** What the application was handed last by the present receiver, of the sender's present life. */
  lastTaken = 0
  /** Of an earlier life of the sender: still to be taken. */
  old = 0
  /** Every sequence of the sender's present life that any receiver has handed on. */
  readonly everTaken = new Set<number>()
  /** And every one that was reported as given up. */
  readonly givenUp = new Set<number>()
  forgotten = false

  constructor() {
    this.newInbox()
    this.connect()
  }

  newInbox(): void {
    this.budget = new Budget(Number.MAX_SAFE_INTEGER)
    this.inbox = new Inbox({
      peerId,
      name: 'x',
      instance: new Uint8Array(16),
      received: 0,
      messageSize: MESSAGE_SIZE,
      firstWindow: FIRST_WINDOW,
      windowMax: WINDOW,
      budget: this.budget,
    })
    this.lastTaken = 0
    this.old = 0
    this.inFlight = []
  }

  connect(): void {
    this.wire = []
    this.open = undefined
    this.opened = false
    this.inbox.detach()
    this.outbox.pause()
    this.asked = []
    const size = Math.max(0, POOL - this.inbox.held)
    this.inbox.attach(new CreditPool(size))
    this.inbox.establish()
    const pool = new CreditPool(size)
    expect(this.outbox.begin({ pool, ...this.inbox.position, forgotten: this.forgotten })).toBe(true)
    this.forgotten = false
  }

  run(action: Step): void {
    switch (action.do) {
      case 'send': {
        // As Sender does: no more is accepted than fits the credit, but for what is accepted while away.
        if (this.outbox.bytes > 10 * WINDOW) return
        const data = new Uint8Array(action.size).fill(++this.sent & 0xff)
        expect(this.outbox.append(data, action.confirm)).toBe(this.sent)
        return
      }
      case 'write': {
        const { sendable, nextSequence: firstSequence, redeliveredThrough } = this.outbox
        const parts = this.outbox.nextRecord()
        expect(parts !== undefined).toBe(sendable)
        if (parts === undefined) return
        this.open ??= { name: 'x', firstSequence, redeliveredThrough }
        const plaintext = Uint8Array.from(Buffer.concat(parts))
        expect(plaintext.length).toBeLessThanOrEqual(RECORD_PLAINTEXT_MAX)
        this.wire.push(plaintext)
        return
      }
      case 'deliver':
        return this.deliver()
      case 'take': {
        const message = this.inbox.take()
        if (message === undefined) return
        expect(message.data.every((byte) => byte === (message.sequence & 0xff))).toBe(true)
        if (this.old > 0) this.old--
        else {
          // In order, none twice; a gap only of what was reported as given up.
          expect(message.sequence).toBeGreaterThan(this.lastTaken)
          if (this.lastTaken > 0) {
            for (let i = this.lastTaken + 1; i < message.sequence; i++) expect(this.givenUp.has(i)).toBe(true)
          }
          // What any receiver had handed on before comes again only when it is marked.
          if (this.everTaken.has(message.sequence)) expect(message.redelivered).toBe(true)
          this.lastTaken = message.sequence
          this.everTaken.add(message.sequence)
        }
        this.inFlight.push(message)
        return
      }
      case 'settle': {
        const [message] = this.inFlight.splice(action.which, 1)
        if (message !== undefined) this.inbox.settle(message, false, false)
        this.inbox.grant() // what waits may have been waiting for that
        return
      }
      case 'acknowledge': {
        const { consumed, limit } = this.inbox.acknowledge(false)
        if (!action.lost) expect(this.outbox.acknowledge(consumed, limit)).toBe(true)
        return
      }
      case 'ask': {
        const wanted = this.outbox.want({ first: 0, all: 0 })
        if (wanted === undefined) return
        const { limit, returned } = wanted
        if (returned !== undefined) this.asked.push(() => this.inbox.giveBack(returned))
        this.asked.push(() => {
          this.inbox.want(limit)
          expect(['name', undefined]).toContain(this.inbox.grant())
        })
        return
      }
      case 'give back': {
        const returned = this.outbox.giveBack()
        if (returned !== undefined) this.asked.push(() => this.inbox.giveBack(returned))
        return
      }
      case 'hear':
        return this.asked.shift()?.()
      case 'cut':
        return this.connect()
      case 'restart receiver':
        this.newInbox()
        this.forgotten = true
        return this.connect()
      case 'restart sender':
        this.inbox.detach()
        this.outbox = new Outbox()
        this.inbox.newInstance(new Uint8Array(16))
        this.old = this.inbox.waiting
        this.sent = 0
        this.lastTaken = 0
        this.everTaken.clear()
        this.givenUp.clear()
        this.forgotten = false
        return this.connect()
      case 'give up': {
        this.outbox.pause()
        const abandoned = this.outbox.abandon()
        for (let i = 0; i < (abandoned?.count ?? 0); i++) this.givenUp.add((abandoned?.from as number) + i)
        return this.connect()
      }
    }
  }

  deliver(): void {
    const plaintext = this.wire.shift()
    if (plaintext === undefined) return
    if (!this.opened) {
      this.opened = true
      const gap = this.inbox.open(this.open as Open)
      for (let i = 0; i < (gap?.count ?? 0); i++) expect(this.givenUp.has((gap?.from as number) + i)).toBe(true)
    }
    const record = new OpenedRecord(plaintext)
    const cursor = new FrameCursor(plaintext)
    while (cursor.next()) {
      if (cursor.type === FrameType.FRAGMENT) this.inbox.part(record, cursor.start, cursor.end)
      else this.inbox.message(record, cursor.start, cursor.end, cursor.type === FrameType.CONFIRM, 0)
    }
    record.close()
  }

  /** The application takes what is there. */
  takeAll(): void {
    while (this.inbox.waiting > 0) this.run({ do: 'take' })
    while (this.inFlight.length > 0) this.run({ do: 'settle', which: 0 })
  }

  /** Heals the network and lets the application take everything. */
  settleAll(): void {
    this.connect()
    for (let round = 0; this.outbox.messages > 0; round++) {
      expect(round, 'nobody waits for ever').toBeLessThan(10_000)
      for (const action of ['ask', 'hear', 'write', 'deliver', 'take'] as const) this.run({ do: action })
      while (this.inFlight.length > 0) this.run({ do: 'settle', which: 0 })
      this.run({ do: 'acknowledge', lost: false })
    }
  }
}

test('10,000 histories: once and in order, or marked; nobody waits for ever; nothing is left behind', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 5, maxLength: 60 }), (steps) => {
      const world = new World()
      for (const action of steps) {
        world.run(action)
        expect(world.inbox.held).toBeLessThanOrEqual(WINDOW + POOL)
        expect(world.budget.used).toBeGreaterThanOrEqual(world.inbox.held - POOL)
      }
      world.settleAll()
      // Delivered, or reported as given up: nothing else may happen to a message.
      for (let i = 1; i <= world.sent; i++) expect(world.everTaken.has(i) || world.givenUp.has(i)).toBe(true)
      world.takeAll()
      expect([world.outbox.messages, world.outbox.bytes, world.inbox.held]).toEqual([0, 0, 0])
      // And what was promised comes back.
      for (const action of ['give back', 'hear', 'acknowledge', 'give back', 'hear'] as const)
        world.run(action === 'acknowledge' ? { do: action, lost: false } : { do: action })
      expect(world.budget.used).toBe(0)
    }),
    { numRuns: 10_000 },
  )
})

test('what is given up leaves a gap that the receiver is told of, and nothing else', () => {
  const world = new World()
  const send = (): void => world.run({ do: 'send', size: 10, confirm: false })
  for (let i = 0; i < 5; i++) send()
  world.run({ do: 'write' })
  world.run({ do: 'deliver' })
  expect(world.inbox.position.received).toBe(5)
  for (let i = 0; i < 3; i++) send()
  world.outbox.pause()
  expect(world.outbox.abandon()).toEqual({ from: 1, count: 8 }) // consumption of the first five was never heard of
  expect(world.outbox.abandon()).toBeUndefined()
  send() // 9
  const { received, consumed } = world.inbox.position
  world.inbox.detach()
  expect(world.outbox.begin({ pool: new CreditPool(POOL), received, consumed, forgotten: false })).toBe(true)
  expect(world.outbox.nextSequence).toBe(9)
  expect(world.inbox.open({ name: 'x', firstSequence: 9, redeliveredThrough: 0 })).toEqual({ from: 6, count: 3 })
})

test('a receiver that claims what it was never sent is found out', () => {
  const world = new World()
  world.run({ do: 'send', size: 1, confirm: false })
  expect(world.outbox.acknowledge(1, 0)).toBe(false) // accepted here, never written
  world.run({ do: 'write' })
  expect(world.outbox.acknowledge(2, 0)).toBe(false)
  expect(world.outbox.acknowledge(1, 0)).toBe(true)
  expect(world.outbox.begin({ pool: new CreditPool(0), received: 2, consumed: 0, forgotten: false })).toBe(false)
})

test('an inbox refuses what passes its credit or its size, before it keeps it', () => {
  const world = new World()
  const record = new OpenedRecord(new Uint8Array(FIRST_WINDOW))
  world.inbox.attach(new CreditPool(FIRST_WINDOW))
  world.inbox.open({ name: 'x', firstSequence: 1, redeliveredThrough: 0 })
  expect(() => world.inbox.message(record, 0, MESSAGE_SIZE + 1, false, 0)).toThrow(/larger than/)
  world.inbox.part(record, 0, MESSAGE_SIZE - 10)
  expect(() => world.inbox.part(record, 0, 11)).toThrow(/larger than/)
  world.inbox.message(record, 0, 10, false, 0)
  expect(world.inbox.held).toBe(FIRST_WINDOW)
  expect(() => world.inbox.message(record, 0, 0, false, 0)).toThrow(/credit/)
  expect(world.inbox.held).toBe(FIRST_WINDOW)
  expect(() => world.inbox.open({ name: 'x', firstSequence: 1, redeliveredThrough: 0 })).toThrow(/twice/)
})

test('messages of a restarted sender count anew; those of its earlier life make room, and move no position', () => {
  const { inbox } = new World()
  const record = new OpenedRecord(new Uint8Array(100))
  inbox.open({ name: 'x', firstSequence: 1, redeliveredThrough: 0 })
  for (let i = 0; i < 3; i++) inbox.message(record, 0, 1, false, 0)
  const early = inbox.take() as ReceivedMessage
  inbox.detach()
  inbox.newInstance(new Uint8Array(16))
  inbox.attach(new CreditPool(POOL))
  expect(inbox.position).toEqual({ received: 0, consumed: 0 })
  inbox.open({ name: 'x', firstSequence: 1, redeliveredThrough: 0 })
  inbox.message(record, 0, 1, false, 0)
  const rest = [inbox.take(), inbox.take()] as ReceivedMessage[]
  for (const message of [early, ...rest]) inbox.settle(message, false, false)
  expect(inbox.position).toEqual({ received: 1, consumed: 0 })
  inbox.settle(inbox.take() as ReceivedMessage, false, false)
  expect(inbox.position).toEqual({ received: 1, consumed: 1 })
  expect(inbox.held).toBe(0)
})

test('while draining, a receiver tells at once only of what moves its position', () => {
  const settled = (frozen: boolean): string[] => {
    const { inbox } = new World()
    inbox.attach(new CreditPool(FIRST_WINDOW))
    inbox.establish()
    const record = new OpenedRecord(new Uint8Array(FIRST_WINDOW))
    inbox.open({ name: 'x', firstSequence: 1, redeliveredThrough: 0 })
    inbox.message(record, 0, 1, true, 0)
    inbox.message(record, 0, FIRST_WINDOW / 4, true, 0) // its room is worth telling of
    const [first, second] = [inbox.take(), inbox.take()] as [ReceivedMessage, ReceivedMessage]
    return [inbox.settle(second, false, frozen), inbox.settle(first, false, frozen)]
  }
  expect(settled(false)).toEqual(['now', 'now'])
  expect(settled(true)).toEqual(['soon', 'now'])
})

test('a message that is put back, and taken again after later ones, holds the position', () => {
  const { inbox } = new World()
  const record = new OpenedRecord(new Uint8Array(100))
  inbox.open({ name: 'x', firstSequence: 1, redeliveredThrough: 0 })
  for (let i = 0; i < 5; i++) inbox.message(record, 0, 1, false, 0)
  const [first, second, third, fourth] = [inbox.take(), inbox.take(), inbox.take(), inbox.take()] as ReceivedMessage[]
  inbox.putBack(first as ReceivedMessage)
  inbox.putBack(second as ReceivedMessage)
  expect([inbox.take(), inbox.take()]).toEqual([first, second])
  for (const later of [second, third] as ReceivedMessage[]) {
    inbox.settle(later, false, false)
    expect(inbox.position).toEqual({ received: 5, consumed: 0 })
  }
  inbox.putBack(first as ReceivedMessage)
  inbox.settle(fourth as ReceivedMessage, false, false)
  expect(inbox.position).toEqual({ received: 5, consumed: 0 })
  inbox.settle(inbox.take() as ReceivedMessage, false, false)
  expect(inbox.position).toEqual({ received: 5, consumed: 4 })
})
