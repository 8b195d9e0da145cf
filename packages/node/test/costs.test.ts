import { eventually, makeNode, pair, SimulatedClock } from '@glueberry/testkit'
import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { Expiring } from '../src/expiring.ts'
import { Identity, Node } from '../src/index.ts'
import { LinkedList } from '../src/linked-list.ts'
import { type DormantState, NameNumbers, pack, unpack } from '../src/peers/dormant.ts'
import { Peer } from '../src/peers/peer.ts'

import { Budget } from '../src/stream/budget.ts'
import { Outbox } from '../src/stream/outbox.ts'
import { Sender } from '../src/stream/sender.ts'

// What must not grow with the number of peers, calls or messages. Steps are counted, never timed.

/** Counts every element that lists give out or take in, while `run` does something. */
async function steps(run: () => unknown): Promise<number> {
  let count = 0
  const spies = (['push', 'shift', 'remove'] as const).map((method) => {
    const original = LinkedList.prototype[method] as (...args: unknown[]) => unknown
    return vi.spyOn(LinkedList.prototype, method).mockImplementation(function (this: unknown, ...args: unknown[]) {
      count++
      return original.apply(this, args) as never
    })
  })
  const iterate = LinkedList.prototype[Symbol.iterator]
  const spy = vi.spyOn(LinkedList.prototype, Symbol.iterator).mockImplementation(function* (this: LinkedList<unknown>) {
    for (const value of { [Symbol.iterator]: () => iterate.call(this) }) {
      count++
      yield value
    }
  })
  try {
    await run()
  } finally {
    for (const each of [...spies, spy]) each.mockRestore()
  }
  return count
}

function makeSender(waitingMax: number, room: boolean): Sender {
  return new Sender({
    peerId: Identity.generate().peerId,
    name: 'x',
    outbox: new Outbox(),
    clock: new SimulatedClock(),
    waitingMax,
    kept: new Budget(2 ** 40),
    roomWhileAway: () => room,
    rejectWhenFull: false,
    shared: () => false,
    counts: { messagesSent: 0, bytesSent: 0, messagesReceived: 0, bytesReceived: 0, redelivered: 0 },
    waits: () => {},
  })
}

test.each([
  ['confirmed sends that are aborted', true],
  ['waiting sends that are aborted', false],
])('%s: twice as many take twice as many steps', async (_, room) => {
  const run = async (count: number): Promise<number> => {
    const sender = makeSender(count, room)
    const controllers = Array.from({ length: count }, () => new AbortController())
    return steps(async () => {
      const sends = controllers.map(({ signal }) =>
        sender.send(new Uint8Array(1), { confirm: true, signal }).catch(() => 'given up'),
      )
      for (const controller of controllers.reverse()) controller.abort()
      expect(new Set(await Promise.all(sends))).toEqual(new Set(['given up']))
    })
  }
  const [some, more] = [await run(1000), await run(2000)]
  expect(more).toBeLessThan(2.2 * some)
  expect(some).toBeLessThan(10 * 1000)
})

test('a peer that is not known, and health, are answered without a look at the others', async () => {
  const node = new Node({ identity: Identity.generate(), streams: ['x'] })
  for (let i = 0; i < 300; i++) await node.addPeer(Identity.generate().peerId, [], { connect: false })
  await node.start()
  let looks = 0
  const info = Object.getOwnPropertyDescriptor(Peer.prototype, 'info') as PropertyDescriptor
  const spy = vi.spyOn(Peer.prototype, 'info', 'get').mockImplementation(function (this: Peer) {
    looks++
    return info.get?.call(this)
  })
  const { peerId } = Identity.generate()
  expect(node.getPeer(peerId)).toBeUndefined()
  await expect(node.send(peerId, 'x', 'hello')).rejects.toMatchObject({ code: 'PEER_UNKNOWN' })
  expect(node.health()).toMatchObject({ peers: { disconnected: 300 }, held: 0, buffered: 0 })
  spy.mockRestore()
  expect(looks).toBe(0)
  await node.stop()
})

test('health counts what is held and kept in one unit, at both sides, and every peer in its state', async () => {
  await using nodes = await pair(['x'])
  const { alice, bob, aliceId } = nodes
  for (let i = 0; i < 3; i++) await bob.send(aliceId, 'x', 'seven..')
  await eventually(() => alice.health().held === 3 * (7 + 256))
  expect(bob.health().buffered).toBe(3 * (7 + 256))
  expect(bob.health().peers).toMatchObject({ established: 1, disconnected: 0 })
  alice.handle('x', () => {})
  await bob.flush()
  expect([alice.health().held, bob.health().buffered]).toEqual([0, 0])
  await bob.removePeer(aliceId)
  expect(Object.values(bob.health().peers)).toEqual(Array.from({ length: 8 }, () => 0))
})

test('a book is not written for every peer that is seen, but within a minute, and with the next change', async () => {
  let saves = 0
  const store = { load: async () => undefined, save: async () => void saves++ }
  await using hub = await makeNode({ streams: ['x'], addressBook: store })
  const peers = []
  for (let i = 0; i < 5; i++) {
    const made = await makeNode({ streams: ['x'] })
    peers.push(made)
    await hub.node.addPeer(made.node.peerId, made.node.addrs, { connect: false })
  }
  const before = saves
  for (const { node } of peers) await hub.node.connect(node.peerId)
  expect(saves).toBe(before)
  await hub.node.addPeer(Identity.generate().peerId, [], { connect: false })
  expect(saves).toBe(before + 1)
  await hub.node.stop()
  for (const { node } of peers) await node.stop()
})

test('a stranger that left is remembered in less than a KiB, with 64 names in use, and comes back to what it was', async () => {
  const names = Array.from({ length: 64 }, (_, i) => `a.rather-long.name_${i}`)
  const numbers = new NameNumbers()
  const sequences = (): fc.Arbitrary<Map<string, number>> =>
    fc
      .uniqueArray(fc.tuple(fc.constantFrom(...names), fc.integer({ min: 1, max: 1_000_000_000 })), {
        selector: ([name]) => name,
        maxLength: 64,
      })
      .map((entries) => new Map(entries))
  const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
  fc.assert(
    fc.property(
      fc.record({
        instance: bytes(16),
        endedIds: fc.array(bytes(32), { maxLength: 2 }),
        receiver: fc.option(fc.record({ instance: bytes(16), memory: bytes(8), received: sequences() }), {
          nil: undefined,
        }),
        traffic: fc.record({
          memory: fc.option(bytes(8), { nil: undefined }),
          sent: sequences(),
          sentOnWithdrawn: fc.nat(1_000_000_000),
        }),
      }) as fc.Arbitrary<DormantState>,
      (state) => {
        expect(unpack(pack(state, numbers), numbers)).toEqual(state)
        expect(numbers.size).toBe(0)
      },
    ),
  )
  const used = new Map(names.map((name) => [name, 123_456]))
  const text = pack(
    {
      instance: new Uint8Array(16),
      endedIds: [new Uint8Array(32)],
      receiver: { instance: new Uint8Array(16), memory: new Uint8Array(8), received: used },
      traffic: { memory: new Uint8Array(8), sent: new Map(), sentOnWithdrawn: 0 },
    },
    numbers,
  )
  expect(text.length).toBeLessThan(360)

  // A hub that answers strangers: a stranger goes, comes back, and both go on where they were.
  await using hub = await makeNode({ streams: ['x'] })
  hub.node.handle('x', async ({ peerId, data }) => void (await hub.node.send(peerId, 'x', data)))
  await using bob = await makeNode({ streams: ['x'] })
  await using inbox = bob.node.messages('x')
  const peers = new Set<Peer>()
  const spy = vi.spyOn(Peer.prototype, 'stats', 'get').mockImplementation(function (this: Peer) {
    peers.add(this)
    return { messagesSent: 0, messagesReceived: 0, bytesSent: 0, bytesReceived: 0, redelivered: 0, reconnects: 0 }
  })
  for (let round = 1; round <= 3; round++) {
    const id = await bob.node.connect(hub.node.addrs)
    expect(await bob.node.send(id, 'x', String(round), { confirm: true })).toBe(round)
    expect((await inbox.next()).value).toMatchObject({ sequence: round, redelivered: false })
    await eventually(() => hub.node.buffered(bob.node.peerId).messages === 0)
    await bob.node.disconnect(id)
    await eventually(() => hub.node.health().peers.disconnected === 1)
    // Its statistics are read when its record goes: that is how it is seen here that it has gone.
    await eventually(() => [...peers].some(({ peerId }) => peerId === bob.node.peerId))
    peers.clear()
    expect(hub.node.getPeer(bob.node.peerId)).toMatchObject({ state: 'disconnected', saved: false })
    expect(hub.node.listPeers()).toHaveLength(1)
  }
  spy.mockRestore()
  await hub.node.stop()
  expect(hub.events.filter(({ type }) => type === 'closed')).toMatchObject([
    { peerId: bob.node.peerId, reason: 'stopped' },
  ])
})

test('a value that expires is told of, and one timer serves all', () => {
  const clock = new SimulatedClock()
  const told: string[] = []
  const values = new Expiring<string, number>({ clock, keep: 100, max: 3, expired: (key) => told.push(key) })
  for (const [i, key] of ['a', 'b', 'c', 'd'].entries()) {
    values.put(key, i)
    clock.advance(10)
  }
  expect([told, values.size, clock.pending]).toEqual([['a'], 3, 1])
  expect(values.take('c')).toBe(2)
  clock.advance(75)
  expect(told).toEqual(['a', 'b'])
  clock.advance(100)
  expect([told, clock.pending]).toEqual([['a', 'b', 'd'], 0])
})

test('a list is a queue from whose middle anything can be taken', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.constantFrom('push', 'shift', 'remove'), fc.nat(20))), (actions) => {
      const list = new LinkedList<number>()
      const places: { readonly value: number; readonly place: ReturnType<LinkedList<number>['push']> }[] = []
      let expected: number[] = []
      for (const [i, [action, which]] of actions.entries()) {
        if (action === 'push') {
          places.push({ value: i, place: list.push(i) })
          expected.push(i)
        } else if (action === 'shift') expect(list.shift()).toBe(expected.shift())
        else {
          const chosen = places[which % Math.max(1, places.length)]
          if (chosen === undefined) continue
          expect(list.remove(chosen.place)).toBe(expected.includes(chosen.value))
          expected = expected.filter((value) => value !== chosen.value)
        }
        expect([[...list], list.size, list.first, list.last]).toEqual([
          expected,
          expected.length,
          expected[0],
          expected.at(-1),
        ])
      }
    }),
  )
})
