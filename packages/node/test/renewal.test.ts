import { collect, eventually, FaultProxy, makeNode, SimulatedClock, withChance } from '@glueberry/testkit'
import { expect, test, vi } from 'vitest'
import { type HandshakePeer, Identity, type Logger, Node, type Verdict } from '../src/index.ts'
import { KeyLife } from '../src/session/key-life.ts'
import { Session } from '../src/session/session.ts'
import { HandClock } from './support/hand-clock.ts'

const KiB = 1024
const quick = { baseDelay: 1, maxDelay: 20 }

/** Counts sessions by what the log says of them. */
function counting(): { readonly logger: Logger; readonly sessions: { renewed: number; begun: number } } {
  const sessions = { renewed: 0, begun: 0 }
  const nothing = (): void => undefined
  return {
    sessions,
    logger: {
      debug: (text) => {
        if (text === 'session established') sessions.begun++
        if (text === 'session established with fresh keys') sessions.renewed++
      },
      info: nothing,
      warn: nothing,
      error: nothing,
    },
  }
}

test('keys are due once, by age or by bytes, and over at twice either', () => {
  const clock = new SimulatedClock()
  const told: string[] = []
  const make = () => {
    const life = new KeyLife({
      clock,
      age: 1000,
      bytes: 100,
      due: () => told.push('due'),
      over: () => told.push('over'),
    })
    life.start(0)
    return life
  }
  const byAge = make()
  clock.advance(999)
  expect(told.splice(0)).toEqual([])
  clock.advance(1)
  byAge.used(150)
  expect(told.splice(0)).toEqual(['due'])
  clock.advance(999)
  expect(told.splice(0)).toEqual([])
  clock.advance(1)
  byAge.used(150)
  expect(told.splice(0)).toEqual(['over'])
  const byBytes = make()
  for (let i = 0; i < 25; i++) byBytes.used(10)
  expect(told.splice(0)).toEqual(['due', 'over'])
  expect(clock.pending).toBe(0)
  make().stop()
  expect(clock.pending).toBe(0)
})

test('a peer that asks for keys is heard, no sooner than after a second or so many bytes; large messages raise the limit', () => {
  const clock = new SimulatedClock()
  const told: string[] = []
  const make = (bytes: number, inFlight: number) => {
    const life = new KeyLife({ clock, age: 10_000, bytes, due: () => told.push('due'), over: () => told.push('over') })
    life.start(inFlight)
    return life
  }
  const asked = make(2 ** 36, 0)
  clock.advance(100)
  for (let i = 0; i < 5; i++) asked.requested()
  clock.advance(899)
  expect(told.splice(0)).toEqual([])
  clock.advance(1)
  expect(told.splice(0)).toEqual(['due'])
  asked.requested()
  expect(told.splice(0)).toEqual([])
  asked.stop()
  const busy = make(2 ** 36, 0)
  busy.used(2 ** 25)
  busy.requested()
  expect(told.splice(0)).toEqual(['due'])
  busy.stop()
  const large = make(1000, 1000)
  large.used(7999)
  expect(told).toEqual([])
  large.used(1)
  expect(told).toEqual(['due'])
  large.stop()
  const ended = make(1000, 0)
  ended.requested()
  ended.stop()
  expect(clock.pending).toBe(0)
})

test.each(['the side that dialed', 'the side that was dialed'])(
  'keys are renewed again and again under load, when %s has the lower limit: no event, no gap, no second handshake',
  async (who) => {
    const { logger, sessions } = counting()
    let handshakes = 0
    const handshake = async (peer: HandshakePeer): Promise<Verdict> => {
      handshakes++
      return peer.accept()
    }
    const few = { limits: { sessionBytes: 64 * 1024 * KiB } }
    await using alice = await makeNode({ streams: ['x'], handshake, ...(who === 'the side that dialed' ? {} : few) })
    await using bob = await makeNode({
      streams: ['x'],
      handshake,
      logger,
      ...(who === 'the side that dialed' ? few : {}),
    })
    const received: number[] = []
    alice.node.handle('x', (message) => {
      expect(message.redelivered).toBe(false)
      received.push(((message.data[0] as number) << 8) | (message.data[1] as number))
    })
    const id = await bob.node.connect(alice.node.addrs)
    const total = 8000
    const data = new Uint8Array(60 * KiB)
    for (let i = 0; i < total; i++) {
      data[0] = i >>> 8
      data[1] = i
      await bob.node.send(id, 'x', data)
    }
    await bob.node.flush()
    expect(received).toEqual(Array.from({ length: total }, (_, i) => i))
    expect(sessions.renewed).toBeGreaterThan(4)
    expect([sessions.begun, handshakes]).toEqual([1, 2])
    for (const { events } of [alice, bob]) {
      const told = events.filter((event) => 'peerId' in event).map(({ type }) => type)
      expect(told.filter((type) => type !== 'connecting')).toEqual(['connected', 'established'])
    }
    expect(bob.node.peerStats(id)).toMatchObject({ reconnects: 0 })
  },
)

test('keys are renewed by their age, both ways of sending go on, and an idle session is renewed too', async () => {
  const hand = new HandClock(3_600_000)
  const { logger, sessions } = counting()
  await using alice = await makeNode({ streams: ['x'] })
  await using bob = new Node({ identity: Identity.generate(), streams: ['x'], logger }, hand.platform)
  await bob.start()
  const id = await bob.connect(alice.node.addrs)
  await using inbox = alice.node.messages('x')
  await using back = bob.messages('x')
  // Each costs 400 of the 2,000 requests that a peer may make at once: so early as here they are dear.
  for (let round = 1; round <= 4; round++) {
    hand.fire()
    await eventually(() => sessions.renewed === round)
    await bob.send(id, 'x', `there ${round}`)
    await alice.node.send(bob.peerId, 'x', `back ${round}`)
    expect((await inbox.next()).value?.text()).toBe(`there ${round}`)
    expect((await back.next()).value?.text()).toBe(`back ${round}`)
  }
})

test('when both sides find the keys due at once, they are renewed once', async () => {
  const hands = [new HandClock(3_600_000), new HandClock(3_600_000)] as const
  const { logger, sessions } = counting()
  const make = (hand: HandClock, options: object) =>
    new Node(
      { identity: Identity.generate(), streams: ['x'], listen: ['/ip4/127.0.0.1/tcp/0'], ...options },
      hand.platform,
    )
  await using alice = await make(hands[0], {}).start()
  await using bob = await make(hands[1], { logger }).start()
  alice.handle('x', () => {})
  const id = await bob.connect(alice.addrs)
  await eventually(() => alice.getPeer(bob.peerId)?.state === 'established')
  for (let round = 1; round <= 10; round++) {
    for (const hand of round % 2 === 0 ? hands : [...hands].reverse()) hand.fire()
    await eventually(() => sessions.renewed >= round)
    for (let i = 0; i < 3; i++) await bob.send(id, 'x', 'hello', { confirm: true })
    expect([sessions.renewed, sessions.begun]).toEqual([round, 1])
  }
})

test('with a peer that never renews, sessions end at their limit, and no message is lost, doubled or cut short', async () => {
  const { tell } = Session.prototype
  const deaf = vi.spyOn(Session.prototype, 'tell').mockImplementation(function (this: Session, message) {
    if (message.type !== 'renew') tell.call(this, message)
  })
  try {
    await using alice = await makeNode({ streams: ['x'], limits: { sessionBytes: 64 * 1024 * KiB } })
    await using bob = await makeNode({ streams: ['x'], reconnect: quick })
    const total = 3000
    let bad = 0
    let next = 0
    alice.node.handle('x', ({ data }) => {
      if (data.length !== 100_000 || Buffer.from(data.buffer, data.byteOffset).readUInt32BE(0) !== next++) bad++
    })
    const id = await bob.node.connect(alice.node.addrs)
    const data = Buffer.alloc(100_000)
    for (let i = 0; i < total; i++) {
      data.writeUInt32BE(i)
      await bob.node.send(id, 'x', data)
    }
    await bob.node.flush()
    expect([bad, next]).toEqual([0, total])
    expect(bob.node.peerStats(id)?.reconnects).toBeGreaterThan(1)
  } finally {
    deaf.mockRestore()
  }
})

test('a session whose keys are not renewed in time ends, and another one takes its place', async () => {
  // Bob asks for renewal, and alice, who dialed, is kept from answering: her way out is swallowed after the session stands.
  const hand = new HandClock(3_600_000)
  await using bob = new Node(
    { identity: Identity.generate(), streams: ['x'], listen: ['/ip4/127.0.0.1/tcp/0'] },
    hand.platform,
  )
  await bob.start()
  await using alice = await makeNode({ streams: ['x'], reconnect: quick, heartbeat: { interval: 100, timeout: 1000 } })
  await using proxy = await FaultProxy.to(bob.addrs[0] as string)
  await alice.node.connect(proxy.address)
  await eventually(() => bob.getPeer(alice.node.peerId)?.state === 'established')
  const disconnected = bob.subscribeEvents({ types: ['disconnected'] })
  proxy.swallow()
  hand.fire()
  hand.fire()
  expect((await disconnected.next()).value).toMatchObject({ reason: { kind: 'timeout' } })
  await eventually(() => bob.getPeer(alice.node.peerId)?.state === 'established')
})

test('cut at any byte of a renewal: the session comes back by a dial, and nothing is lost or doubled', async () => {
  await withChance(async (random) => {
    await using alice = await makeNode({ streams: ['x'] })
    const received: string[] = []
    alice.node.handle('x', (message) => void received.push(message.text()))
    for (let after = 0; after < 5000; after += 50 + random() * 150) {
      const hand = new HandClock(3_600_000)
      await using bob = new Node({ identity: Identity.generate(), streams: ['x'], reconnect: quick }, hand.platform)
      await bob.start()
      await using proxy = await FaultProxy.to(alice.node.addrs[0] as string)
      const id = await bob.connect(proxy.address)
      await bob.send(id, 'x', 'before', { confirm: true })
      proxy.cutAfter(after)
      hand.fire()
      await bob.send(id, 'x', 'during')
      await bob.send(id, 'x', 'after', { confirm: true })
      expect([after, ...received.splice(0)]).toEqual([after, 'before', 'during', 'after'])
      expect(bob.peerStats(id)?.redelivered).toBe(0)
      await bob.stop()
    }
  })
})

test('random cuts while keys are renewed all the time, both ways', async () => {
  await withChance(async (random) => {
    const hand = new HandClock(3_600_000)
    const options = { streams: ['x'], reconnect: quick } as const
    await using alice = await makeNode(options)
    await using bob = new Node({ ...options, identity: Identity.generate() }, hand.platform)
    await bob.start()
    await using proxy = await FaultProxy.to(alice.node.addrs[0] as string)
    proxy.plan((connection) => (connection < 30 ? { kind: 'cut', after: random() * 100_000 } : { kind: 'none' }))
    await bob.addPeer(alice.node.peerId, [proxy.address])
    await alice.node.addPeer(bob.peerId, [], { connect: false })
    const total = 3000
    const send = async (from: Node<'x'>, to: Node<'x'>): Promise<void> => {
      for (let i = 0; i < total; i++) {
        if (i % 20 === 0) hand.fire()
        await from.send(to.peerId, 'x', String(i).padEnd(KiB), { confirm: i % 50 === 0 })
      }
    }
    await using inboxes = new AsyncDisposableStack()
    const [atAlice, atBob] = [inboxes.use(alice.node.messages()), inboxes.use(bob.messages())]
    const [, , ...received] = await Promise.all([
      send(bob, alice.node),
      send(alice.node, bob),
      collect(atAlice, total),
      collect(atBob, total),
    ])
    const expected = Array.from({ length: total }, (_, i) => i)
    for (const messages of received) {
      expect(messages.map((message) => Number(message.text()))).toEqual(expected)
      expect(messages.some(({ redelivered }) => redelivered)).toBe(false)
    }
    expect(proxy.faults).toBeGreaterThan(15)
  })
})

test('large messages on many names get through, however few bytes the keys are for', async () => {
  const MiB = 1024 * KiB
  const names = ['a', 'b', 'c', 'd', 'e'] as const
  const options = {
    streams: names,
    limits: { messageSize: 32 * MiB, sessionBytes: 64 * MiB },
    flow: { window: 33 * MiB, peerBudget: 5 * 33 * MiB, sendBuffer: 200 * MiB },
  }
  await using alice = await makeNode<string>(options)
  await using bob = await makeNode<string>(options)
  const received: string[] = []
  alice.node.handle([...names], (message) => void received.push(`${message.stream} ${message.data.length}`))
  const id = await bob.node.connect(alice.node.addrs)
  const data = new Uint8Array(31 * MiB)
  await Promise.all(names.map((name) => bob.node.send(id, name, data, { confirm: true })))
  expect(received.sort()).toEqual(names.map((name) => `${name} ${data.length}`))
})
