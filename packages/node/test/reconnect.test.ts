import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { collect, eventually, FaultProxy, makeNode } from '@glueberry/testkit'
import { expect, test } from 'vitest'
import { InstanceWatch } from '../src/connection/instance-watch.ts'
import { Identity, Node, type NodeEvent, type PeerId } from '../src/index.ts'
import { HandClock } from './support/hand-clock.ts'

const quick = { baseDelay: 1, maxDelay: 20 }
/** A wait that no test sees the end of. */
const HOUR = 3_600_000

const types = (events: readonly NodeEvent[]): string[] =>
  events.filter((event) => 'peerId' in event).map(({ type }) => type)

/** Where nobody listens. */
async function deadAddress(peerId: PeerId): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return `/ip4/127.0.0.1/tcp/${port}/p2p/${peerId}`
}

test('an outage as events tell it: disconnected, reconnecting with its attempt and delay, established, reconnected', async () => {
  await using alice = await makeNode({ streams: ['x'] })
  await using bob = await makeNode({ streams: ['x'], reconnect: { ...quick, jitter: 'none' } })
  await using proxy = await FaultProxy.to(alice.node.addrs[0] as string)
  const id = await bob.node.connect(proxy.address)
  await eventually(() => bob.node.peerStats(id)?.roundTrip !== undefined) // it has lasted
  proxy.plan((connection) => (connection <= 2 ? { kind: 'refuse' } : { kind: 'none' }))
  proxy.cut()
  await eventually(() => bob.events.at(-1)?.type === 'reconnected')
  expect(types(bob.events)).toEqual([
    ...['connecting', 'connected', 'established', 'disconnected'],
    ...['reconnecting', 'reconnecting', 'reconnecting', 'connected', 'established', 'reconnected'],
  ])
  const waits = bob.events.filter((event) => event.type === 'reconnecting')
  expect(waits.map(({ attempt, delay }) => [attempt, delay])).toEqual([
    [1, 0],
    [2, 1],
    [3, 2],
  ])
  expect(bob.events.find((event) => event.type === 'disconnected')).toMatchObject({ reason: { kind: 'io' } })
  expect(bob.node.peerStats(id)).toMatchObject({ reconnects: 1, lastReason: { kind: 'io' } })
  // Nothing was dialed from the other side, which has no address: it waited.
  await eventually(() => types(alice.events).includes('reconnected'))
  expect(types(alice.events)).not.toContain('reconnecting')
})

test('a peer that accepts and closes at once, for ever, is tried ever more slowly: the mere connection resets nothing', async () => {
  await using alice = await makeNode({ streams: ['x'] })
  await using bob = await makeNode({ streams: ['x'], reconnect: { baseDelay: 1, maxDelay: 64, jitter: 'none' } })
  await using proxy = await FaultProxy.to(alice.node.addrs[0] as string)
  proxy.plan({ kind: 'refuse' })
  await bob.node.addPeer(alice.node.peerId, [proxy.address])
  const waits = bob.node.subscribeEvents({ types: ['reconnecting'] })
  expect((await collect(waits, 8)).map(({ attempt, delay }) => [attempt, delay])).toEqual(
    [1, 2, 4, 8, 16, 32, 64, 64].map((delay, i) => [i + 2, delay]),
  )
  expect(bob.node.getPeer(alice.node.peerId)).toMatchObject({
    state: 'reconnecting',
    retry: { attempt: 9, at: expect.any(Number) },
  })
})

test('a session that breaks before anything came over it does not reset the attempts', async () => {
  await using alice = await makeNode({ streams: ['x'] })
  await using bob = await makeNode({ streams: ['x'], reconnect: { baseDelay: 1, maxDelay: 8, jitter: 'none' } })
  const { peerId } = alice.node
  await using proxy = await FaultProxy.to(alice.node.addrs[0] as string)
  // Cut by alice as soon as she sees the session, which is before bob's first answer.
  alice.node.on('connected', () => proxy.cut())
  await bob.node.addPeer(peerId, [proxy.address])
  const waits = bob.node.subscribeEvents({ types: ['reconnecting'] })
  expect((await collect(waits, 4)).map(({ attempt }) => attempt)).toEqual([2, 3, 4, 5])
})

test('connect during a backoff tries at once; its failure is the caller’s, and the backoff goes on', async () => {
  await using alice = await makeNode({ streams: ['x'] })
  await using bob = await makeNode({ streams: ['x'], reconnect: { baseDelay: HOUR, maxDelay: HOUR, jitter: 'none' } })
  await using proxy = await FaultProxy.to(alice.node.addrs[0] as string)
  await proxy.unlisten()
  const { peerId } = alice.node
  await bob.node.addPeer(peerId, [proxy.address])
  await eventually(() => bob.node.getPeer(peerId)?.retry?.attempt === 2)
  for (let i = 0; i < 3; i++) await expect(bob.node.connect(peerId)).rejects.toMatchObject({ code: 'CONNECT_FAILED' })
  await eventually(() => bob.node.getPeer(peerId)?.retry?.attempt === 2)
  await proxy.listen()
  expect(await bob.node.connect(peerId)).toBe(peerId)
  expect(bob.node.getPeer(peerId)).toMatchObject({ state: 'established' })
  expect(bob.node.getPeer(peerId)?.retry).toBeUndefined()
})

test('whoever asks to be connected by the other side ends a backoff too', async () => {
  await using alice = await makeNode({ streams: ['x'] })
  await using bob = await makeNode({ streams: ['x'], reconnect: { baseDelay: HOUR, jitter: 'none' } })
  const dead = await deadAddress(alice.node.peerId)
  await bob.node.addPeer(alice.node.peerId, [dead])
  await eventually(() => bob.node.getPeer(alice.node.peerId)?.state === 'reconnecting')
  await alice.node.connect(bob.node.addrs)
  await eventually(() => bob.node.getPeer(alice.node.peerId)?.state === 'established')
})

test.each(['disconnect', 'removePeer', 'blockPeer', 'stop'] as const)('%s breaks a backoff at once', async (end) => {
  const bob = new Node({
    identity: Identity.generate(),
    streams: ['x'],
    reconnect: { baseDelay: HOUR, jitter: 'none' },
  })
  await bob.start()
  const events: NodeEvent[] = []
  bob.on('*', (event) => void events.push(event))
  const { peerId } = Identity.generate()
  await bob.addPeer(peerId, [await deadAddress(peerId)])
  await eventually(() => bob.getPeer(peerId)?.state === 'reconnecting')
  const kept = bob.send(peerId, 'x', 'kept')
  await kept
  const flushing = bob.flush(peerId).catch((error: unknown) => error)
  await (end === 'stop' ? bob.stop() : bob[end](peerId))
  if (end === 'disconnect') {
    await eventually(() => events.at(-1)?.type === 'disconnected')
    expect(bob.getPeer(peerId)).toMatchObject({ state: 'disconnected', saved: true })
    expect(bob.buffered(peerId).messages).toBe(1) // stays for the next connect
  } else {
    expect(await flushing).toMatchObject({ code: 'UNDELIVERED' })
    await eventually(() => events.some(({ type }) => type === 'closed'))
    expect(events.find((event) => event.type === 'undelivered')).toMatchObject({ count: 1 })
  }
  await bob.stop()
})

test('stop from inside an event handler, in the midst of a backoff', async () => {
  const bob = await new Node({ identity: Identity.generate(), streams: ['x'], reconnect: quick }).start()
  const { peerId } = Identity.generate()
  const stopped = new Promise<void>((resolve) =>
    bob.on('reconnecting', ({ attempt }) => (attempt === 4 ? void bob.stop().then(resolve) : undefined)),
  )
  await bob.addPeer(peerId, [await deadAddress(peerId)])
  await stopped
  expect(bob.status).toBe('stopped')
})

test('attempts end as configured: then what is kept is given up, and everyone who waits is told', async () => {
  for (const maxAttempts of [0, 1, 3]) {
    await using alice = await makeNode({ streams: ['x'] })
    await using bob = await makeNode({
      streams: ['x'],
      reconnect: { ...quick, maxAttempts },
      flow: { sendBuffer: 5 },
    })
    await using proxy = await FaultProxy.to(alice.node.addrs[0] as string)
    const id = await bob.node.connect(proxy.address)
    await bob.node.send(id, 'x', 'never consumed')
    const before = proxy.accepted
    await eventually(() => alice.node.peerStats(bob.node.peerId)?.messagesReceived === 1)
    await eventually(() => bob.node.peerStats(id)?.roundTrip !== undefined) // else the first attempt has not yet succeeded
    proxy.plan({ kind: 'refuse' })
    proxy.cut()
    await eventually(() => bob.events.some(({ type }) => type === 'disconnected'))
    const waiting = bob.node.send(id, 'x', 'waits').catch((error: unknown) => error)
    await eventually(() => bob.events.some(({ type }) => type === 'closed'))
    expect(bob.events.at(-1)).toMatchObject({ type: 'closed', reason: 'gave-up' })
    expect(proxy.accepted - before).toBe(maxAttempts)
    expect(await waiting).toMatchObject({ code: maxAttempts === 0 ? 'PEER_UNKNOWN' : 'UNDELIVERED' })
    expect(bob.events.find((event) => event.type === 'undelivered')).toMatchObject({ from: 1, count: 1 })
    expect(bob.node.getPeer(id)).toBeUndefined()
  }
})

test('with reconnect off a lost peer is left alone until connect is called', async () => {
  await using alice = await makeNode({ streams: ['x'] })
  await using bob = await makeNode({ streams: ['x'], reconnect: false })
  await using proxy = await FaultProxy.to(alice.node.addrs[0] as string)
  const id = await bob.node.connect(proxy.address)
  proxy.cut()
  await eventually(() => bob.node.getPeer(id)?.state === 'disconnected')
  await bob.node.send(id, 'x', 'kept')
  expect(proxy.accepted).toBe(1)
  await bob.node.connect(id)
  await using inbox = alice.node.messages('x')
  expect((await inbox.next()).value?.text()).toBe('kept')
  expect(types(bob.events)).not.toContain('reconnecting')
})

test('who was told `disconnected` by the other application does not call back; it may come back itself', async () => {
  await using alice = await makeNode({ streams: ['x'] })
  await using bob = await makeNode({ streams: ['x'], reconnect: quick })
  const id = await bob.node.connect(alice.node.addrs)
  await eventually(() => alice.node.getPeer(bob.node.peerId)?.state === 'established')
  await alice.node.disconnect(bob.node.peerId)
  await eventually(() => bob.node.getPeer(id)?.state === 'disconnected')
  expect(types(bob.events)).not.toContain('reconnecting')
  await bob.node.connect(id)
})

test('a peer that moves to another port is found there once its address is known', async () => {
  const identity = Identity.generate()
  await using bob = await makeNode({ streams: ['x'], reconnect: quick })
  const first = await makeNode({ streams: ['x'], identity })
  const id = await bob.node.connect(first.node.addrs)
  await first.node.stop()
  await eventually(() => bob.node.getPeer(id)?.state === 'reconnecting')
  await bob.node.send(id, 'x', 'to wherever you are')
  await using second = await makeNode({ streams: ['x'], identity })
  await bob.node.addPeer(id, second.node.addrs)
  await using inbox = second.node.messages('x')
  expect((await inbox.next()).value?.text()).toBe('to wherever you are')
  expect(bob.node.getPeer(id)?.addresses).toHaveLength(2)
})

test('of one good and three dead addresses the good one is found, and first the next time', async () => {
  await using alice = await makeNode({ streams: ['x'] })
  await using bob = await makeNode({ streams: ['x'], reconnect: quick })
  const { peerId } = alice.node
  await using good = await FaultProxy.to(alice.node.addrs[0] as string)
  await using proxies = new AsyncDisposableStack()
  const dead: FaultProxy[] = []
  for (let i = 0; i < 3; i++) {
    const proxy = proxies.use(await FaultProxy.to(alice.node.addrs[0] as string))
    proxy.plan({ kind: 'refuse' })
    dead.push(proxy)
  }
  await bob.node.addPeer(
    peerId,
    [...dead, good].map(({ address }) => address),
  )
  const established = bob.node.subscribeEvents({ types: ['established'] })
  for (let cut = 0; cut < 5; cut++) {
    await established.next()
    await eventually(() => bob.node.peerStats(peerId)?.roundTrip !== undefined)
    good.cut()
  }
  await established.next()
  expect([good.accepted, ...dead.map(({ accepted }) => accepted)]).toEqual([6, 1, 1, 1])
  // Found in the first attempt each time: nothing waited for a dead one.
  const attempts = bob.events.filter((event) => event.type === 'reconnecting').map(({ attempt }) => attempt)
  expect(attempts.every((attempt) => attempt <= 2)).toBe(true)
})

test('what is asked for during a cooldown begins when it is over, and is no failed attempt', async () => {
  let runs = 0
  await using alice = await makeNode({
    streams: ['x'],
    timeouts: { cooldown: 20 },
    handshake: async (peer) => (++runs === 1 ? peer.refuse('not yet') : peer.accept()),
  })
  const hand = new HandClock(60_000) // timeouts.cooldown
  await using bob = new Node(
    { identity: Identity.generate(), streams: ['x'], reconnect: { ...quick, maxAttempts: 1 } },
    hand.platform,
  )
  const events: NodeEvent[] = []
  bob.on('*', (event) => void events.push(event))
  await bob.start()
  const { peerId } = alice.node
  await expect(bob.connect(alice.node.addrs)).rejects.toMatchObject({ code: 'HANDSHAKE_REFUSED' })
  await bob.addPeer(peerId, alice.node.addrs)
  expect(bob.getPeer(peerId)?.state).toBe('cooldown')
  await expect(bob.connect(peerId)).rejects.toMatchObject({ code: 'COOLDOWN' })
  await eventually(() => alice.node.getPeer(bob.peerId)?.state !== 'cooldown')
  hand.fire()
  await eventually(() => bob.getPeer(peerId)?.state === 'established')
  await eventually(() => events.at(-1)?.type === 'established')
  expect(types(events)).toEqual([
    'connecting',
    'connected',
    'disconnected',
    'cooldown',
    'connecting',
    'connected',
    'established',
  ])
})

test('who waits for a peer that is just coming in is told by our own error when it is removed', async () => {
  const inside = Promise.withResolvers<void>()
  await using alice = await makeNode({
    streams: ['x'],
    handshake: async (peer) => {
      inside.resolve()
      await peer.receive() // never comes
      return peer.accept()
    },
  })
  for (const [end, code] of [
    ['removePeer', 'PEER_REMOVED'],
    ['disconnect', 'CONNECT_FAILED'],
    ['blockPeer', 'PEER_BLOCKED'],
  ] as const) {
    await using bob = await makeNode({ streams: ['x'] })
    bob.node.connect(alice.node.addrs).catch(() => {})
    await eventually(() => alice.node.getPeer(bob.node.peerId)?.state === 'connected')
    const waiting = alice.node.connect(bob.node.peerId).catch((error: unknown) => error)
    await alice.node[end](bob.node.peerId)
    expect(await waiting).toMatchObject({ name: 'GlueberryError', code })
  }
})

test('twins are told by their coming back, not by how often a program restarts; and told anew each time', () => {
  const watch = new InstanceWatch()
  const saw = (text: string, second = 0): boolean => watch.saw(Buffer.from(text), second * 1000)
  expect(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j'].map((each) => saw(each))).not.toContain(true)
  expect(saw('i')).toBe(false) // once: it was still ending when its successor began
  expect(saw('j')).toBe(true)
  expect([saw('j'), saw('i')]).toEqual([false, false]) // one may have gone
  expect(saw('j', 61)).toBe(false) // the last return is long ago
  expect(saw('i', 62)).toBe(true)
})

test('while a peer is away: accepted up to the buffer, then refused or waiting, replayed in order before anything new', async () => {
  for (const overflow of ['wait', 'error'] as const) {
    await using alice = await makeNode({ streams: ['x'] })
    await using bob = await makeNode({
      streams: ['x'],
      flow: { sendBuffer: 10 * (100 + 256), overflow },
      reconnect: quick,
    })
    await using proxy = await FaultProxy.to(alice.node.addrs[0] as string)
    const id = await bob.node.connect(proxy.address)
    await proxy.unlisten()
    proxy.cut()
    await eventually(() => bob.node.getPeer(id)?.state === 'reconnecting')
    let sent = 0
    while (overflow === 'wait' ? bob.node.trySend(id, 'x', `${sent}`.padEnd(100)) : sent < 10) {
      if (overflow === 'error') await bob.node.send(id, 'x', `${sent}`.padEnd(100))
      sent++
    }
    expect([sent, bob.node.buffered(id)]).toEqual([10, { messages: 10, bytes: 1000 }])
    const more = bob.node.send(id, 'x', `${sent}`)
    if (overflow === 'error') {
      await expect(more).rejects.toMatchObject({ code: 'BUFFER_FULL', retryable: true })
      expect(() => bob.node.trySend(id, 'x', 'refused')).toThrow(expect.objectContaining({ code: 'BUFFER_FULL' }))
    } else expect(bob.node.trySend(id, 'x', 'overtakes nobody')).toBe(false)
    await proxy.listen()
    if (overflow === 'wait') await more
    await bob.node.connect(id)
    await bob.node.send(id, 'x', '11')
    await using inbox = alice.node.messages('x')
    const expected = [...Array.from({ length: overflow === 'wait' ? 11 : 10 }, (_, i) => i), 11]
    expect((await collect(inbox, expected.length)).map((message) => Number(message.text()))).toEqual(expected)
  }
})

test('drain waits for a peer that is away and comes back, with a consumer that is slow; or says what is left', async () => {
  await using alice = await makeNode({ streams: ['x'] })
  const bob = await makeNode({ streams: ['x'], reconnect: quick })
  await using proxy = await FaultProxy.to(alice.node.addrs[0] as string)
  const id = await bob.node.connect(proxy.address)
  await proxy.unlisten()
  proxy.cut()
  await eventually(() => bob.node.getPeer(id)?.state === 'reconnecting')
  for (let i = 0; i < 20; i++) await bob.node.send(id, 'x', String(i))
  const received: string[] = []
  alice.node.handle(
    'x',
    async (message) => {
      for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
      received.push(message.text())
    },
    { concurrency: 1 },
  )
  const draining = bob.node.drain()
  await eventually(() => bob.events.filter(({ type }) => type === 'reconnecting').length > 3)
  await proxy.listen()
  expect(await draining).toEqual({ complete: true, unsent: [], untaken: [] })
  expect(received).toEqual(Array.from({ length: 20 }, (_, i) => String(i)))

  await using carol = await makeNode({ streams: ['x'], reconnect: quick })
  await carol.node.addPeer(id, [await deadAddress(id)])
  await carol.node.send(id, 'x', 'never')
  expect(await carol.node.drain({ timeout: 50 })).toEqual({
    complete: false,
    unsent: [{ peerId: id, stream: 'x', count: 1 }],
    untaken: [],
  })
})

test('a delay of the user’s own is asked, and one that is wrong gives the peer up with a word', async () => {
  const asked: unknown[][] = []
  await using bob = await makeNode({
    streams: ['x'],
    reconnect: {
      delay: (attempt, { peerId, error }) => {
        asked.push([attempt, peerId, error.code])
        return attempt < 4 ? 0 : Number.NaN
      },
    },
  })
  const { peerId } = Identity.generate()
  await bob.node.addPeer(peerId, [await deadAddress(peerId)])
  await eventually(() => bob.events.some(({ type }) => type === 'closed'))
  expect(asked).toEqual([2, 3, 4].map((attempt) => [attempt, peerId, 'CONNECT_FAILED']))
  expect(bob.errors).toMatchObject([
    { code: 'INVALID_OPTION', message: expect.stringMatching(/reconnect.delay must .* NaN/) },
  ])
})

test('a refusal is tried again after the cooldown; the same one twice gives the peer up', async () => {
  await using alice = await makeNode({
    streams: ['x'],
    timeouts: { cooldown: 20 },
    handshake: async (peer) => peer.refuse('never'),
  })
  await using bob = await makeNode({ streams: ['x'], reconnect: quick, timeouts: { cooldown: 40 } })
  await bob.node.addPeer(alice.node.peerId, alice.node.addrs)
  await eventually(() => bob.events.some(({ type }) => type === 'closed'))
  expect(bob.events.at(-1)).toMatchObject({ type: 'closed', reason: 'gave-up' })
  const cooldowns = bob.events.filter((event) => event.type === 'cooldown')
  expect(cooldowns).toHaveLength(2)
  expect(cooldowns[0]).toMatchObject({ reason: { kind: 'authentication', error: { code: 'HANDSHAKE_REFUSED' } } })
})

test('a handshake handler that throws backs off, and is asked again', async () => {
  let runs = 0
  await using alice = await makeNode({
    streams: ['x'],
    handshake: async (peer) => {
      if (++runs < 4) throw new Error('the database is away')
      return peer.accept()
    },
  })
  await using bob = await makeNode({ streams: ['x'], reconnect: quick })
  await bob.node.addPeer(alice.node.peerId, alice.node.addrs)
  await eventually(() => bob.node.getPeer(alice.node.peerId)?.state === 'established')
  expect(types(bob.events)).not.toContain('cooldown')
})

test('an identity in two running programs is noticed by all three, which then leave one another alone', async () => {
  const identity = Identity.generate()
  await using alice = await makeNode({ streams: ['x'] })
  const options = { streams: ['x'], identity, reconnect: quick } as const
  await using one = await makeNode(options)
  await using two = await makeNode(options)
  await one.node.addPeer(alice.node.peerId, alice.node.addrs)
  await two.node.addPeer(alice.node.peerId, alice.node.addrs)
  await eventually(() => alice.errors.some(({ code }) => code === 'IDENTITY_IN_USE'))
  expect(alice.node.getPeer(identity.peerId)?.state).toBe('cooldown')
  await eventually(() => [...one.errors, ...two.errors].some(({ code }) => code === 'IDENTITY_IN_USE'))
})

test('a program that restarts again and again is no second program', async () => {
  const identity = Identity.generate()
  await using alice = await makeNode({ streams: ['x'] })
  for (let restart = 0; restart < 10; restart++) {
    await using bob = await makeNode({ streams: ['x'], identity })
    await bob.node.connect(alice.node.addrs)
  }
  expect(alice.errors).toEqual([])
})
