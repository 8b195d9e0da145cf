import { eventually, FaultProxy, type MadeNode, makeNode, withChance } from '@glueberry/testkit'
import { expect, test } from 'vitest'
import type { HandshakePeer, PeerId, PeerStats, Verdict } from '../src/index.ts'

// Real TCP through a proxy that breaks it. What is lost is lost at any byte; what the programs see must be as if nothing was.

const NAMES = ['a', 'b', 'c', 'd'] as const
type Name = (typeof NAMES)[number]
const quick = { baseDelay: 1, maxDelay: 20 }

/** Consumes everything, and holds it against what must come: per name the numbers from 1, each once and in order. */
function expectInOrder(made: MadeNode<Name>): { readonly received: Record<Name, number>; readonly errors: string[] } {
  const received: Record<Name, number> = { a: 0, b: 0, c: 0, d: 0 }
  const errors: string[] = []
  made.node.handle(NAMES, (message) => {
    const expected = ++received[message.stream]
    const [number] = message.text().split(' ', 1)
    if (Number(number) !== expected || message.redelivered) {
      errors.push(`${message.stream}: got ${number}${message.redelivered ? ', redelivered' : ''}, wanted ${expected}`)
    }
  })
  return { received, errors }
}

/** Sends that many messages on each name, and more while `goesOn` says so. */
async function sendAll(
  made: MadeNode<Name>,
  to: PeerId,
  count: number,
  random: () => number,
  goesOn: () => boolean = () => false,
): Promise<void> {
  const filler = 'x'.repeat(200)
  await Promise.all(
    NAMES.map(async (name) => {
      for (let i = 1; i <= count || goesOn(); i++)
        await made.node.send(to, name, `${i} ${filler.slice(0, random() * 120)}`)
    }),
  )
  await made.node.flush(to)
}

test('300 cuts at random bytes during 200,000 messages or more each way on 4 names: nothing lost, doubled or out of order', async () => {
  await withChance(async (random) => {
    await using alice = await makeNode({ streams: NAMES, reconnect: quick })
    await using bob = await makeNode({ streams: NAMES, reconnect: quick })
    await using proxy = await FaultProxy.to(alice.node.addrs[0] as string)
    const cuts = 300
    // A third of them before a session is established. More connections than these: a guard refuses some, so many as come.
    proxy.plan(() =>
      proxy.faults < cuts ? { kind: 'cut', after: random() * (random() < 0.3 ? 7000 : 120_000) } : { kind: 'none' },
    )
    const [atAlice, atBob] = [expectInOrder(alice), expectInOrder(bob)]
    await bob.node.addPeer(alice.node.peerId, [proxy.address])
    await alice.node.addPeer(bob.node.peerId, [], { connect: false })
    await Promise.all([
      sendAll(bob, alice.node.peerId, 50_000, random, () => proxy.faults < cuts),
      sendAll(alice, bob.node.peerId, 50_000, random, () => proxy.faults < cuts),
    ])
    expect(proxy.faults).toBe(cuts)
    for (const [{ received, errors }, from] of [
      [atAlice, bob],
      [atBob, alice],
    ] as const) {
      expect(errors.slice(0, 3)).toEqual([])
      for (const name of NAMES) expect(received[name]).toBeGreaterThanOrEqual(50_000)
      const { messagesSent } = from.node.peerStats(from === bob ? alice.node.peerId : bob.node.peerId) as PeerStats
      expect(NAMES.reduce((sum, name) => sum + received[name], 0)).toBe(messagesSent)
    }
    for (const { events } of [alice, bob])
      expect(events.filter(({ type }) => type === 'undelivered' || type === 'skipped' || type === 'error')).toEqual([])
  })
})

/** A fresh pair through the proxy's first, faulty connection: whatever happens to it, what was sent arrives once. */
async function expectRecovery(alice: MadeNode<'x'>, proxy: FaultProxy, options: object = {}): Promise<MadeNode<'x'>> {
  const bob = await makeNode({
    streams: ['x'],
    reconnect: quick,
    timeouts: { connect: 2000, handshake: 2000 },
    ...options,
  })
  await bob.node.addPeer(alice.node.peerId, [proxy.address])
  const text = `from ${bob.node.peerId}`
  await bob.node.send(alice.node.peerId, 'x', text)
  await bob.node.flush()
  return bob
}

test.each(['cut', 'corrupt'] as const)(
  'a connection that is %s at any byte of its handshakes comes back, and what was sent arrives once',
  async (kind) => {
    await withChance(async (random) => {
      await using alice = await makeNode({ streams: ['x'], timeouts: { handshake: 2000 } })
      const received: string[] = []
      alice.node.handle('x', (message) => void received.push(message.text()))
      // libp2p's Noise ends at about byte 700, yamux and the session's Noise KK at 4,500, SETUP and READY at 5,300.
      for (let after = 0; after < 6000; after += 50 + random() * 100) {
        await using proxy = await FaultProxy.to(alice.node.addrs[0] as string)
        proxy.plan((connection) => (connection === 0 ? { kind, after: Math.floor(after) } : { kind: 'none' }))
        const before = received.length
        await using bob = await expectRecovery(alice, proxy)
        expect([after, received.length - before]).toEqual([after, 1])
        expect(bob.events.filter(({ type }) => type === 'undelivered')).toEqual([])
        await bob.node.stop()
      }
    })
  },
)

test('a half-closed connection, and one that is closed as soon as it is accepted, are tried again', async () => {
  await using alice = await makeNode({ streams: ['x'], timeouts: { handshake: 1000 } })
  let received = 0
  alice.node.handle('x', () => void received++)
  for (const fault of [
    { kind: 'half-close', after: 300 },
    { kind: 'half-close', after: 5000 },
    { kind: 'refuse' },
    { kind: 'hole', after: 300 },
  ] as const) {
    await using proxy = await FaultProxy.to(alice.node.addrs[0] as string)
    proxy.plan((connection) => (connection === 0 ? fault : { kind: 'none' }))
    await using bob = await expectRecovery(alice, proxy, {
      timeouts: { connect: 2000, handshake: 2000 },
      heartbeat: { interval: 500, timeout: 2000 },
    })
    await bob.node.stop()
  }
  expect(received).toBe(4)
})

test('cut in the midst of the applications’ handshake: it is run again, and then messages flow', async () => {
  let proxy: FaultProxy | undefined
  let runs = 0
  const handshake = async (peer: HandshakePeer): Promise<Verdict> => {
    await peer.send('who are you?')
    await peer.receive()
    if (++runs <= 4) proxy?.cut()
    await peer.send('welcome')
    await peer.receive()
    return peer.accept()
  }
  await using alice = await makeNode({ streams: ['x'], handshake })
  proxy = await FaultProxy.to(alice.node.addrs[0] as string)
  let received = 0
  alice.node.handle('x', () => void received++)
  await using bob = await expectRecovery(alice, proxy, { handshake })
  expect(runs).toBeGreaterThan(4)
  expect(received).toBe(1)
  expect(bob.events.some(({ type }) => type === 'cooldown')).toBe(false)
  await proxy[Symbol.asyncDispose]()
})

test('cut while a window is full and nobody reads: what waits goes on waiting, and arrives in order', async () => {
  await using alice = await makeNode({ streams: ['x'], flow: { window: 20_000 }, limits: { messageSize: 5000 } })
  await using bob = await makeNode({ streams: ['x'], reconnect: quick, flow: { sendBuffer: 10_000 } })
  await using proxy = await FaultProxy.to(alice.node.addrs[0] as string)
  const id = await bob.node.connect(proxy.address)
  let sent = 0
  const sends: Promise<number>[] = []
  const send = (): void => void sends.push(bob.node.send(id, 'x', `${++sent}`.padEnd(4000)))
  for (let i = 0; i < 20; i++) send()
  const reconnected = bob.node.subscribeEvents({ types: ['reconnected'] })
  await eventually(() => alice.node.getPeer(bob.node.peerId)?.state === 'established') // else it knows nothing of him
  for (let cut = 0; cut < 3; cut++) {
    proxy.cut()
    await reconnected.next()
    send()
  }
  await using inbox = alice.node.messages('x')
  for (let i = 1; i <= sent; i++) {
    const { value } = await inbox.next()
    expect([Number(value?.text()), value?.sequence, value?.redelivered]).toEqual([i, i, false])
  }
  await Promise.all(sends)
})

test('a peer that goes silent is noticed by its silence, and found again; one that is slow is not', async () => {
  const options = { streams: ['x'], heartbeat: { interval: 500, timeout: 2000 }, reconnect: quick } as const
  await using alice = await makeNode(options)
  await using bob = await makeNode(options)
  await using proxy = await FaultProxy.to(alice.node.addrs[0] as string)
  const id = await bob.node.connect(proxy.address)
  alice.node.handle('x', () => {})
  const disconnected = bob.node.subscribeEvents({ types: ['disconnected'] })
  const reconnected = bob.node.subscribeEvents({ types: ['reconnected'] })
  proxy.swallow()
  expect((await disconnected.next()).value).toMatchObject({
    reason: { kind: 'timeout', error: { code: 'CONNECT_TIMEOUT' } },
  })
  await reconnected.next()
  await bob.node.send(id, 'x', 'found', { confirm: true })

  await using slow = await FaultProxy.to(alice.node.addrs[0] as string)
  slow.plan({ kind: 'line', profile: { delay: 150 }, random: Math.random })
  await using carol = await makeNode(options)
  await carol.node.connect(slow.address)
  for (let i = 0; i < 8; i++) await carol.node.send(id, 'x', 'slowly', { confirm: true }) // 300 ms each, more than a time-out together
  expect(carol.events.filter(({ type }) => type === 'disconnected')).toEqual([])
})

test('50 pairs that dial each other at the same moment: one session each, no disconnected event, messages flow', async () => {
  for (let round = 0; round < 5; round++) {
    const pairs = await Promise.all(
      Array.from({ length: 10 }, async () => {
        const options = { streams: ['x'] as const, limits: { pendingPerAddress: 64 } }
        const [a, b] = [await makeNode(options), await makeNode(options)]
        a.node.handle('x', () => {})
        b.node.handle('x', () => {})
        return { a, b }
      }),
    )
    await Promise.all(
      pairs.map(async ({ a, b }) => {
        await Promise.all([a.node.connect(b.node.addrs), b.node.connect(a.node.addrs)])
        await Promise.all([
          a.node.send(b.node.peerId, 'x', 'hello', { confirm: true }),
          b.node.send(a.node.peerId, 'x', 'hello', { confirm: true }),
        ])
      }),
    )
    for (const { a, b } of pairs) {
      for (const { node, events } of [a, b]) {
        expect(events.filter(({ type }) => type === 'disconnected' || type === 'reconnecting')).toEqual([])
        expect(events.filter(({ type }) => type === 'established')).toHaveLength(1)
        expect(node.health().peers.established).toBe(1)
      }
      await Promise.all([a.node.stop(), b.node.stop()])
    }
  }
})

test('both have the other’s address and the line is cut again and again: they find each other, and one session lives', async () => {
  await withChance(async (random) => {
    await using alice = await makeNode({ streams: NAMES, reconnect: quick })
    await using bob = await makeNode({ streams: NAMES, reconnect: quick })
    await using toAlice = await FaultProxy.to(alice.node.addrs[0] as string)
    await using toBob = await FaultProxy.to(bob.node.addrs[0] as string)
    const cuts = 40
    let made = 0
    for (const proxy of [toAlice, toBob])
      proxy.plan(() => (made++ < cuts ? { kind: 'cut', after: random() * 60_000 } : { kind: 'none' }))
    const [atAlice, atBob] = [expectInOrder(alice), expectInOrder(bob)]
    await Promise.all([
      bob.node.addPeer(alice.node.peerId, [toAlice.address]),
      alice.node.addPeer(bob.node.peerId, [toBob.address]),
    ])
    await Promise.all([sendAll(bob, alice.node.peerId, 5000, random), sendAll(alice, bob.node.peerId, 5000, random)])
    for (const { received, errors } of [atAlice, atBob]) {
      expect(errors.slice(0, 3)).toEqual([])
      expect(received).toEqual({ a: 5000, b: 5000, c: 5000, d: 5000 })
    }
  })
})

test('1,000 reconnects leave no timer, no socket and no listener behind', async () => {
  const warnings: unknown[] = []
  const onWarning = (warning: unknown): void => void warnings.push(warning)
  process.on('warning', onWarning)
  await using alice = await makeNode({ streams: ['x'] })
  await using bob = await makeNode({ streams: ['x'], reconnect: quick })
  await using proxy = await FaultProxy.to(alice.node.addrs[0] as string)
  alice.node.handle('x', () => {})
  const id = await bob.node.connect(proxy.address)
  const established = bob.node.subscribeEvents({ types: ['established'] })
  const cut = async (): Promise<void> => {
    proxy.cut()
    await established.next()
    await bob.node.send(id, 'x', 'hello', { confirm: true })
  }
  const resources = (): number => process.getActiveResourcesInfo().filter((name) => /Timeout|TCP/.test(name)).length
  for (let i = 0; i < 20; i++) await cut()
  await eventually(() => proxy.open === 1)
  const before = resources()
  for (let i = 0; i < 980; i++) await cut()
  await eventually(() => proxy.open === 1 && resources() <= before)
  expect(bob.node.peerStats(id)).toMatchObject({ reconnects: 1000, messagesSent: 1000 })
  expect(warnings).toEqual([])
  process.off('warning', onWarning)
})
