import { SimulatedClock } from '@glueberry/testkit'
import { FrameCursor, FrameType } from '@glueberry/wire'
import { expect, test } from 'vitest'
import { Identity } from '../src/index.ts'
import type { SessionPort } from '../src/session-port.ts'
import { Budget } from '../src/stream/budget.ts'
import { CreditPool } from '../src/stream/credit-pool.ts'
import { GrantQueue } from '../src/stream/grant-queue.ts'
import { OpenedRecord } from '../src/stream/opened-record.ts'
import { Outbox } from '../src/stream/outbox.ts'
import { Receiver } from '../src/stream/receiver.ts'
import { Sender } from '../src/stream/sender.ts'
import { Traffic } from '../src/stream/traffic.ts'
import { ReceiveBuffer } from '../src/transport/receive-buffer.ts'
import type { ByteStream } from '../src/transport/transport.ts'

const { peerId } = Identity.generate()
const turns = async (clock: SimulatedClock): Promise<void> => {
  for (let i = 0; i < 20; i++) {
    await Promise.resolve()
    clock.advance(0)
  }
}

/** A session as the streams see it; what is written on it can be read back. */
function session(): {
  port: SessionPort
  written: string[]
  aborted: boolean
  failed: unknown[]
  told: unknown[]
  opened: PromiseWithResolvers<void>
} {
  const state = {
    written: [] as string[],
    aborted: false,
    failed: [] as unknown[],
    told: [] as unknown[],
    opened: Promise.withResolvers<void>(),
  }
  const stream: ByteStream = {
    send(pieces) {
      if (state.aborted) throw new Error('closed')
      for (const piece of pieces) {
        const cursor = new FrameCursor(Uint8Array.from(piece))
        while (cursor.next()) {
          const text = Buffer.from(cursor.bytes.subarray(cursor.start, cursor.end)).toString()
          state.written.push(
            cursor.type === FrameType.OPEN
              ? `OPEN ${cursor.open?.firstSequence}${cursor.open?.redeliveredThrough === 0 ? '' : ' marked'}`
              : cursor.type === FrameType.FIN
                ? 'FIN'
                : text,
          )
        }
      }
      return true
    },
    writable: () => Promise.resolve(),
    received: new ReceiveBuffer(),
    closeWrite: () => Promise.resolve(),
    abort: () => {
      state.aborted = true
    },
  }
  const port: SessionPort = {
    remoteStreams: new Set(['x']),
    largestMessage: 1000,
    ended: false,
    quietFor: 0,
    async openStream() {
      await state.opened.promise
      return { stream, header: new Uint8Array(0), seal: (parts) => parts.map((part) => part.slice()) }
    },
    opener: () => expect.fail('nothing is read here'),
    heard: () => {},
    tell: (message) => state.told.push(message),
    requestAcknowledgement: () => {},
    fail: (error) => state.failed.push(error),
  }
  return Object.assign(state, { port })
}

function make() {
  const clock = new SimulatedClock()
  const sender = new Sender({
    peerId,
    name: 'x',
    outbox: new Outbox(),
    clock,
    waitingMax: 100,
    rejectWhenFull: false,
    kept: new Budget(64 * 1024 * 1024),
    roomWhileAway: () => true,
    shared: () => false,
    counts: { messagesSent: 0, bytesSent: 0, messagesReceived: 0, bytesReceived: 0, redelivered: 0 },
    waits: () => {},
  })
  return { clock, sender }
}
const start = { received: 0, consumed: 0, forgotten: false }
const text = (value: string): Uint8Array => Buffer.from(value)
const send = (sender: Sender, value: string, options: { confirm?: boolean; signal?: AbortSignal } = {}) =>
  sender.send(text(value), { confirm: options.confirm === true, signal: options.signal })

test('a writer whose session is over takes nothing that belongs to the next one', async () => {
  const { clock, sender } = make()
  const [first, second] = [session(), session()]
  sender.attach(first.port, { ...start, pool: new CreditPool(10_000) })
  first.opened.resolve()
  void send(sender, 'a')
  await turns(clock)
  expect(first.written).toEqual(['OPEN 1', 'a'])
  void send(sender, 'b') // the writer will wake in the next turn …
  sender.detach(false) // … when its session is gone and another one is there
  sender.attach(second.port, { received: 1, consumed: 1, forgotten: false, pool: new CreditPool(10_000) })
  second.opened.resolve()
  await turns(clock)
  expect(first.written).toEqual(['OPEN 1', 'a'])
  expect(second.written).toEqual(['OPEN 2', 'b'])
  expect([first.aborted, first.failed, second.failed]).toEqual([true, [], []])
})

test('a stream that opens only after its session is over is broken off, unused', async () => {
  const { clock, sender } = make()
  const [late, next] = [session(), session()]
  sender.attach(late.port, { ...start, pool: new CreditPool(10_000) })
  void send(sender, 'a')
  sender.detach(true)
  sender.attach(next.port, { ...start, pool: new CreditPool(10_000) })
  next.opened.resolve()
  await turns(clock)
  late.opened.resolve()
  await turns(clock)
  expect([late.written, late.aborted, next.written]).toEqual([[], true, ['OPEN 1', 'a']])
})

test('a goodbye is followed by FIN, at once', async () => {
  const { clock, sender } = make()
  const { port, opened, written } = session()
  sender.attach(port, { ...start, pool: new CreditPool(10_000) })
  opened.resolve()
  void send(sender, 'a')
  await turns(clock)
  sender.detach(true)
  expect(written).toEqual(['OPEN 1', 'a', 'FIN'])
})

test('flush rejects when a send that waited is accepted and given up in the same turn', async () => {
  const { clock, sender } = make()
  const { port, opened } = session()
  sender.attach(port, { ...start, pool: new CreditPool(300) })
  opened.resolve()
  void send(sender, 'fits')
  await turns(clock)
  const waiting = send(sender, 'waits')
  const flushed = expect(sender.flush(undefined)).rejects.toMatchObject({ code: 'UNDELIVERED' })
  sender.acknowledge(1, 1000)
  sender.abandon('STREAM_NOT_ACCEPTED', 'no more')
  expect(await waiting).toBe(2)
  await flushed
})

test('what is given up costs one error, however many calls wait for it', async () => {
  const { sender } = make()
  sender.attach(session().port, { ...start, pool: new CreditPool(1_000_000) })
  const calls = Array.from({ length: 100 }, () => send(sender, 'x', { confirm: true }))
  sender.abandon('PEER_REMOVED', 'gone')
  const errors = await Promise.all(calls.map((call) => call.catch((error: unknown) => error)))
  expect(errors[0]).toMatchObject({ code: 'UNDELIVERED', cause: { code: 'PEER_REMOVED' } })
  expect(new Set(errors).size).toBe(1)
})

test('a peer may use the credit that it had of a name when that was withdrawn', () => {
  const clock = new SimulatedClock()
  const names = new Set(['x'])
  const receiver = new Receiver({
    peerId,
    remembered: undefined,
    clock,
    budget: new Budget(1_000_000),
    messageSize: 1000,
    pool: 2000,
    firstWindow: () => 2000,
    grants: new GrantQueue(new Budget(1_000_000)),
    windowMax: 100_000,
    names: () => names,
    frozen: () => false,
    counts: { messagesSent: 0, bytesSent: 0, messagesReceived: 0, bytesReceived: 0, redelivered: 0 },
    offer: () => {},
    skipped: () => {},
  })
  const open = { name: 'x', firstSequence: 1, redeliveredThrough: 0 }
  receiver.begin(new Uint8Array(16))
  receiver.attach(session().port)
  const record = new OpenedRecord(new Uint8Array(1000))
  const inbox = receiver.open(open)
  const receive = (count: number): void => {
    for (let i = 0; i < count; i++) inbox.message(record, 0, 200, false, 0)
  }
  const consume = () => {
    for (let message = inbox.take(); message !== undefined; message = inbox.take())
      receiver.settle(inbox, message, false)
    receiver.acknowledgements()
  }
  for (let round = 0; round < 2; round++) {
    receive(4)
    consume()
  }
  receive(8)
  receiver.end()
  receiver.begin(new Uint8Array(16))
  receiver.attach(session().port)
  consume()
  // The credit grows while the peer has not yet opened its stream.
  receiver.want('x', 2000)
  const granted = receiver.acknowledgements().acknowledgements[0]?.limit as number
  receiver.withdraw('x')
  const thrownAway = receiver.open({ ...open, firstSequence: 17 })
  expect(granted).toBe(2000)
  expect(thrownAway.longestRecord).toBeGreaterThanOrEqual(granted)
})

test('flush behind a send that is aborted resolves when the rest is consumed', async () => {
  const { sender } = make()
  const { port } = session()
  sender.attach(port, { ...start, pool: new CreditPool(300) })
  void send(sender, 'fits')
  const controller = new AbortController()
  const waiting = send(sender, 'waits', { signal: controller.signal })
  const flushing = sender.flush(undefined)
  controller.abort(new Error('no longer'))
  await expect(waiting).rejects.toThrow('no longer')
  sender.detach(false)
  sender.attach(port, { received: 0, consumed: 0, forgotten: false, pool: new CreditPool(300) })
  const { opened, written, port: again } = session()
  sender.detach(false)
  sender.attach(again, { ...start, pool: new CreditPool(300) })
  opened.resolve()
  while (!written.includes('fits')) await Promise.resolve()
  sender.acknowledge(1, 600)
  await flushing
})

test('a confirm that waited, was accepted and is then aborted is UNCONFIRMED: it will be delivered', async () => {
  const { clock, sender } = make()
  const { port, opened, written } = session()
  sender.attach(port, { ...start, pool: new CreditPool(300) })
  opened.resolve()
  void send(sender, 'first')
  const controller = new AbortController()
  const confirming = send(sender, 'second', { confirm: true, signal: controller.signal })
  const outcome = expect(confirming).rejects.toMatchObject({ code: 'UNCONFIRMED' })
  await turns(clock)
  sender.acknowledge(1, 900)
  controller.abort()
  await outcome
  await turns(clock)
  expect(written).toEqual(['OPEN 1', 'first', 'second'])
})

test('a peer that acknowledges what this session has not sent is found out, and nothing spins', async () => {
  const { clock, sender } = make()
  const [first, second] = [session(), session()]
  sender.attach(first.port, { ...start, pool: new CreditPool(10_000) })
  first.opened.resolve()
  for (const value of ['a', 'b', 'c']) void send(sender, value)
  await turns(clock)
  sender.detach(false)
  sender.attach(second.port, { ...start, forgotten: true, pool: new CreditPool(0) }) // it has forgotten, and then claims to know
  expect(() => sender.acknowledge(3, 0)).toThrow(expect.objectContaining({ code: 'PROTOCOL' }))
})

/** All messages of one peer, and what its READY says. */
function makeTraffic() {
  const clock = new SimulatedClock()
  const budget = new Budget(1000)
  const counts = { messagesSent: 0, bytesSent: 0, messagesReceived: 0, bytesReceived: 0, redelivered: 0 }
  const receiver = new Receiver({
    peerId,
    remembered: undefined,
    clock,
    budget,
    messageSize: 1000,
    pool: 1000,
    firstWindow: () => 1000,
    grants: new GrantQueue(budget),
    windowMax: 1000,
    names: () => new Set(['x']),
    frozen: () => false,
    counts,
    offer: () => {},
    skipped: () => {},
  })
  const traffic = new Traffic({
    peerId,
    remembered: undefined,
    clock,
    receiver,
    messageSize: 1000,
    sendBuffer: 10_000,
    rejectWhenFull: false,
    waitingMax: 10,
    kept: new Budget(100_000),
    undelivered: () => {},
    counts,
    waits: () => {},
  })
  const ready = (memory: number) => ({
    type: 'ready' as const,
    memory: new Uint8Array(8).fill(memory),
    pool: 10_000,
    positions: new Map(),
    failed: new Map(),
  })
  const begin = (memory: number): string[] => {
    receiver.begin(new Uint8Array(16))
    const { port, written, opened } = session()
    opened.resolve()
    traffic.attach(port, ready(memory))
    return written
  }
  return { clock, receiver, traffic, ready, begin }
}

test('that the peer has forgotten is not forgotten here when the session that tells of it fails', async () => {
  const { clock, receiver, traffic, ready, begin } = makeTraffic()
  const first = begin(1)
  await traffic.send('x', Buffer.from('a'), { confirm: false, signal: undefined })
  await turns(clock)
  expect(first).toEqual(['OPEN 1', 'a'])
  traffic.detach(false)

  receiver.begin(new Uint8Array(16))
  const lie = { ...ready(2), positions: new Map([['y', { received: 1, consumed: 0 }]]) }
  expect(() => traffic.attach(session().port, lie)).toThrow('never sent')
  traffic.detach(false)
  const third = begin(2)
  await turns(clock)
  expect(third).toEqual(['OPEN 1 marked', 'a'])
})

test('of a name that the peer has withdrawn nothing is kept, and its sequences do not come again', async () => {
  const { clock, traffic, begin } = makeTraffic()
  const options = { confirm: false, signal: undefined }
  begin(1)
  for (let sequence = 1; sequence <= 3; sequence++) {
    expect(await traffic.send('x', Buffer.from('a'), options)).toBe(sequence)
  }
  await turns(clock)
  traffic.withdrawn(['x'])
  expect(traffic.remembered).toMatchObject({ sent: new Map(), sentOnWithdrawn: 3 })
  traffic.detach(true)
  const second = begin(2)
  expect(await traffic.send('x', Buffer.from('b'), options)).toBe(4)
  await turns(clock)
  expect(second).toEqual(['OPEN 4 marked', 'b']) // through 3: the peer has forgotten those
})

test('a name asks once for all that waits, and returns what it does not use', async () => {
  const { clock, traffic, ready } = makeTraffic()
  const { port, opened, told, written } = session()
  opened.resolve()
  traffic.attach(port, { ...ready(1), pool: 600 })
  const options = { confirm: false, signal: undefined }
  const sends = Array.from({ length: 5 }, () => traffic.send('x', new Uint8Array(100), options))
  await turns(clock)
  expect(told).toEqual([{ type: 'want', name: 'x', limit: 256 * 1024 }])
  traffic.acknowledge([{ name: 'x', consumed: 0, limit: 5000 }])
  await Promise.all(sends)
  await turns(clock)
  expect(written).toHaveLength(6) // OPEN, and all of them
  traffic.acknowledge([{ name: 'x', consumed: 5, limit: 6780 }])
  clock.advance(900)
  expect(told).toHaveLength(1)
  clock.advance(2000)
  expect(told.slice(1)).toEqual([{ type: 'return', name: 'x', returned: 6780 - 5 * 356 }])
  expect(clock.pending).toBe(0)
  // A limit that was on its way when that was sent.
  traffic.acknowledge([{ name: 'x', consumed: 5, limit: 7000 }])
  clock.advance(2000)
  expect(told.at(-1)).toEqual({ type: 'return', name: 'x', returned: 7000 - 5 * 356 })
  // From here on the pool counts, and a new request.
  const more = Array.from({ length: 3 }, () => traffic.send('x', new Uint8Array(100), options))
  await turns(clock)
  expect(told.at(-1)).toEqual({ type: 'want', name: 'x', limit: 7000 + 256 * 1024 })
  traffic.acknowledge([{ name: 'x', consumed: 6, limit: 9000 }])
  await Promise.all(more)
  traffic.detach(true)
  expect(clock.pending).toBe(0)
})
