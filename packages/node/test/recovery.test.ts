import { createServer } from 'node:net'
import { collect, eventually, makeNode, pair } from '@glueberry/testkit'
import { expect, test } from 'vitest'
import { type HandshakePeer, Identity, Node, type PeerId, type Verdict } from '../src/index.ts'

const KiB = 1024

test.each([
  ['64 names with the defaults', Array.from({ length: 64 }, (_, i) => `n${i}`), {}],
  [
    'small messages in a small budget',
    ['a', 'b', 'c', 'd'],
    { limits: { messageSize: KiB }, flow: { window: 64 * KiB, peerBudget: 64 * KiB } },
  ],
])('%s: whatever the options allow, a peer can connect', async (_, streams, options) => {
  await using alice = await makeNode<string>({ streams, ...options })
  await using bob = await makeNode<string>({ streams, ...options })
  const id = await bob.node.connect(alice.node.addrs)
  for (const name of streams) await bob.node.send(id, name, new Uint8Array(KiB))
  await using inbox = alice.node.messages()
  await collect(inbox, streams.length)
})

test('a peer whose unread messages fill the budget may connect again', async () => {
  const options = {
    limits: { messageSize: 200 * KiB },
    flow: { window: 600 * KiB, peerBudget: 600 * KiB, nodeBudget: 600 * KiB },
  }
  await using nodes = await pair(['x', 'y'], { alice: options })
  const { alice, bob, aliceId, bobId } = nodes
  let sent = 0
  while (bob.trySend(aliceId, 'x', new Uint8Array(60 * KiB))) sent++
  await eventually(() => alice.peerStats(bobId)?.messagesReceived === sent)
  await bob.disconnect(aliceId)
  await bob.connect(alice.addrs)
  await bob.send(aliceId, 'y', 'in')
})

test('a message that turns out too large for the peer is given up, and does not poison what follows', async () => {
  await using alice = await makeNode({ streams: ['x'], limits: { messageSize: 1000 } })
  await using bob = await makeNode({ streams: ['x'] })
  await bob.node.addPeer(alice.node.peerId, alice.node.addrs, { connect: false })
  await bob.node.send(alice.node.peerId, 'x', new Uint8Array(5000))
  await bob.node.connect(alice.node.peerId)
  await bob.node.send(alice.node.peerId, 'x', 'small')
  await using inbox = alice.node.messages()
  expect((await inbox.next()).value?.text()).toBe('small')
  expect(bob.events.find((event) => event.type === 'undelivered')).toMatchObject({ from: 1, count: 1 })
  await bob.node.disconnect(alice.node.peerId) // its limit is remembered while it is away
  await expect(bob.node.send(alice.node.peerId, 'x', new Uint8Array(5000))).rejects.toMatchObject({
    code: 'MESSAGE_TOO_LARGE',
  })
})

test('of strangers that came to nothing, nothing is kept', async () => {
  await using alice = await makeNode({ streams: ['x'], network: 'one' })
  for (let i = 0; i < 5; i++) {
    await using stranger = await makeNode({ streams: ['x'], network: 'two' })
    await expect(stranger.node.connect(alice.node.addrs)).rejects.toMatchObject({ code: 'NETWORK_MISMATCH' })
  }
  await eventually(() => alice.node.listPeers().length === 0)
})

test('a large message that was consumed condemns no small one that is kept', async () => {
  const identity = Identity.generate()
  await using bob = await makeNode({ streams: ['x'] })
  const first = await makeNode({ streams: ['x'], identity })
  const id = await bob.node.connect(first.node.addrs)
  first.node.handle('x', (message) => (message.data.length > 1000 ? undefined : new Promise(() => {})))
  await bob.node.send(id, 'x', new Uint8Array(500_000))
  await bob.node.send(id, 'x', 'small')
  await eventually(() => bob.node.buffered(id).messages === 1)
  await first.node.stop()
  await using second = await makeNode({ streams: ['x'], identity, limits: { messageSize: 1000 } })
  await bob.node.connect(second.node.addrs)
  await using inbox = second.node.messages()
  expect((await inbox.next()).value?.text()).toBe('small')
})

test('a connect that waits for a dying attempt does not raise a removed peer from the dead', async () => {
  await using alice = await makeNode({ streams: ['x'] })
  await using bob = await makeNode({ streams: ['x'] })
  const { peerId, addrs } = alice.node
  const controller = new AbortController()
  const first = bob.node.connect(addrs, { signal: controller.signal }).catch((error: unknown) => error)
  controller.abort(new Error('mine'))
  await first
  const second = bob.node.connect(addrs).catch((error: unknown) => error)
  await bob.node.removePeer(peerId)
  const outcome = await second
  if (typeof outcome === 'string') await eventually(() => bob.node.getPeer(peerId)?.state === 'established')
  else {
    expect(outcome).toMatchObject({ code: 'PEER_REMOVED' })
    await eventually(() => alice.node.health().peers.established === 0)
  }
})

test('who waits for a dial learns why it ended: stopped, blocked or removed', async () => {
  const silent = createServer(() => {}).listen(0, '127.0.0.1')
  await new Promise((resolve) => silent.once('listening', resolve))
  const { port } = silent.address() as { port: number }
  for (const [code, end] of [
    ['STOPPED', (node: Node<'x'>) => node.stop()],
    ['PEER_BLOCKED', (node: Node<'x'>, peer: PeerId) => node.blockPeer(peer)],
    ['PEER_REMOVED', (node: Node<'x'>, peer: PeerId) => node.removePeer(peer)],
  ] as const) {
    await using made = await makeNode({ streams: ['x'] })
    const { peerId } = Identity.generate()
    const connecting = made.node.connect(`/ip4/127.0.0.1/tcp/${port}/p2p/${peerId}`)
    const outcome = expect(connecting).rejects.toMatchObject({ code })
    await end(made.node, peerId)
    await outcome
  }
  silent.close()
})

test('an address that never answers leaves time for the next one', async () => {
  const silent = createServer(() => {}).listen(0, '127.0.0.1')
  await new Promise((resolve) => silent.once('listening', resolve))
  const { port } = silent.address() as { port: number }
  await using alice = await makeNode({ streams: ['x'] })
  await using bob = await makeNode({ streams: ['x'], timeouts: { connect: 6000 } })
  const hole = `/ip4/127.0.0.1/tcp/${port}/p2p/${alice.node.peerId}`
  expect(await bob.node.connect([hole, ...alice.node.addrs])).toBe(alice.node.peerId)
  await bob.node.removePeer(alice.node.peerId)
  await expect(bob.node.connect([hole, hole.replace('127.0.0.1', '127.0.0.2')])).rejects.toMatchObject({
    code: expect.stringMatching(/CONNECT_(TIMEOUT|FAILED)/),
  })
  silent.close()
})

test('connect to nobody in particular remembers nothing', async () => {
  await using made = await makeNode({ streams: ['x'] })
  await expect(made.node.connect(Identity.generate().peerId)).rejects.toMatchObject({ code: 'PEER_UNKNOWN' })
  expect(made.node.listPeers()).toEqual([])
  expect(made.events.some(({ type }) => type === 'connecting')).toBe(false)
})

test('a peer that was added before the start is connected then; what is kept for one that never comes expires', async () => {
  await using alice = await makeNode({ streams: ['x'] })
  const bob = new Node({ identity: Identity.generate(), streams: ['x'], timeouts: { resume: 1 } })
  await bob.addPeer(alice.node.peerId, alice.node.addrs)
  const { peerId: absent } = Identity.generate()
  await bob.addPeer(absent, ['/ip4/127.0.0.1/tcp/1'], { connect: false })
  const undelivered = bob.subscribeEvents({ types: ['undelivered'] })
  await bob.start()
  await eventually(() => bob.getPeer(alice.node.peerId)?.state === 'established')
  await bob.send(absent, 'x', 'never')
  expect((await undelivered.next()).value).toMatchObject({ peerId: absent, count: 1 })
  expect(bob.getPeer(absent)).toMatchObject({ saved: true })
  await bob.stop()
})

test('connect right behind disconnect, and behind an attempt that was called off, begins anew', async () => {
  await using nodes = await pair(['x'])
  const { alice, bob, aliceId } = nodes
  for (let i = 0; i < 5; i++) {
    void bob.disconnect(aliceId)
    await bob.connect(alice.addrs)
  }
  await using carol = await makeNode({ streams: ['x'] })
  const attempt = carol.node.connect(alice.addrs)
  const outcome = attempt.catch((error: unknown) => error)
  void carol.node.disconnect(alice.peerId)
  expect(await carol.node.connect(alice.addrs)).toBe(aliceId)
  await outcome
})

test('a handler of a removed peer that settles late harms nothing of its successor', async () => {
  const options = { flow: { window: 64 * KiB }, limits: { messageSize: 16 * KiB } }
  await using nodes = await pair(['x', 'back'], { alice: options })
  const { alice, bob, aliceId, bobId } = nodes
  const [late, blocked] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  let handled = 0
  // The first record of bob has granted much credit by the time it is removed; its successor begins anew, and takes nothing.
  alice.handle('x', () => {
    handled++
    return handled < 20 ? undefined : handled === 20 ? late.promise : blocked.promise
  })
  bob.handle('back', () => {})
  for (let i = 0; i < 20; i++) await bob.send(aliceId, 'x', new Uint8Array(10 * KiB))
  await eventually(() => handled === 20)
  await alice.removePeer(bobId)
  await eventually(() => bob.getPeer(aliceId)?.state === 'disconnected')
  await bob.connect(alice.addrs)
  while (bob.trySend(aliceId, 'x', new Uint8Array(10 * KiB)));
  const waiting = bob.send(aliceId, 'x', new Uint8Array(10 * KiB))
  late.resolve()
  for (let i = 0; i < 50; i++) await alice.send(bobId, 'back', 'and forth', { confirm: true })
  expect(bob.getPeer(aliceId)?.state).toBe('established')
  expect(bob.peerStats(aliceId)?.lastReason?.kind).toBe('remote') // the removal, and nothing after it
  blocked.resolve()
  await waiting
})

test('when both dial at once, a refusal on the session that loses does not cool down the one that lives', async () => {
  // A handler that accepts once sees two sessions at the follower: which of them lives is the decider's choice, so the
  // refusal may hit either. Whatever it hits, the two nodes agree on how things are.
  for (let round = 0; round < 8; round++) {
    const once = () => {
      let runs = 0
      return async (peer: HandshakePeer): Promise<Verdict> => (runs++ === 0 ? peer.accept() : peer.refuse('only once'))
    }
    await using a = await makeNode({ streams: ['x'], handshake: once() })
    await using b = await makeNode({ streams: ['x'], handshake: once() })
    const outcomes = await Promise.allSettled([a.node.connect(b.node.addrs), b.node.connect(a.node.addrs)])
    if (outcomes.some(({ status }) => status === 'fulfilled')) {
      await eventually(() => [a, b].every(({ node }) => node.health().peers.established === 1))
      for (const { events } of [a, b]) expect(events.filter(({ type }) => type === 'cooldown')).toEqual([])
    } else {
      await eventually(() => [a, b].every(({ node }) => node.health().peers.established === 0))
    }
  }
})

test('an orderly end is seen as one, with streams that were in use', async () => {
  for (const end of ['disconnect', 'stop'] as const) {
    await using nodes = await pair(['x'])
    const { alice, bob, aliceId, bobId, aliceMade } = nodes
    await bob.send(aliceId, 'x', 'a')
    await alice.send(bobId, 'x', 'b')
    await eventually(
      () => alice.peerStats(bobId)?.messagesReceived === 1 && bob.peerStats(aliceId)?.messagesReceived === 1,
    )
    await (end === 'stop' ? bob.stop() : bob.disconnect(aliceId))
    await eventually(() => aliceMade.events.some(({ type }) => type === 'disconnected'))
    expect(aliceMade.events.find((event) => event.type === 'disconnected')).toMatchObject({
      reason: { kind: 'remote' },
    })
  }
})

test('what was consumed just before a goodbye is acknowledged with it', async () => {
  for (let round = 0; round < 5; round++) {
    await using nodes = await pair(['x'])
    const { alice, bob, aliceId, bobMade } = nodes
    alice.handle('x', () => void alice.stop()) // at the moment of consuming it
    await bob.send(aliceId, 'x', 'the last one')
    await eventually(() => bobMade.events.some(({ type }) => type === 'disconnected'))
    // A handler that stops its node has consumed its message: it settles before anything else happens.
    expect(bob.buffered(aliceId)).toEqual({ messages: 0, bytes: 0 })
  }
})

test('a goodbye is heard although this side was just sending', async () => {
  for (let round = 0; round < 5; round++) {
    for (const end of ['drain', 'stop'] as const) {
      await using nodes = await pair(['x'])
      const { alice, bob, aliceId, bobMade } = nodes
      alice.handle('x', () => {})
      await bob.send(aliceId, 'x', 'a')
      const ending = alice[end]()
      const data = new Uint8Array(100_000)
      for (let i = 0; i < 20; i++) bob.trySend(aliceId, 'x', data)
      await ending
      await eventually(() => bobMade.events.some(({ type }) => type === 'disconnected'))
      expect(bobMade.events.find((event) => event.type === 'disconnected')).toMatchObject({
        reason: { kind: 'remote' },
      })
    }
  }
})

test('drain goes on when a loop is left with messages waiting, and when one of the peers is removed', async () => {
  await using hub = await makeNode({ streams: ['x'] })
  await using b = await makeNode({ streams: ['x'] })
  await using c = await makeNode({ streams: ['x'] })
  const id = await b.node.connect(hub.node.addrs)
  await c.node.connect(hub.node.addrs)
  await eventually(() => hub.node.health().peers.established === 2)
  for (let i = 0; i < 3; i++) await b.node.send(id, 'x', 'hello')
  const inbox = hub.node.messages('x')
  await inbox.next()
  await hub.node.send(b.node.peerId, 'x', 'to b')
  await hub.node.send(c.node.peerId, 'x', 'to c')
  await eventually(() => hub.node.peerStats(b.node.peerId)?.messagesReceived === 3)
  const draining = hub.node.drain({ timeout: 100_000 })
  await inbox.return() // nobody will take the rest: drain need not wait for it
  await hub.node.removePeer(b.node.peerId)
  c.node.handle('x', () => {})
  const report = await draining
  expect(report.unsent).toEqual([])
})

test('a signal that is aborted already leaves the name free', async () => {
  await using made = await makeNode({ streams: ['x'] })
  const closed = made.node.handle('x', () => {}, { signal: AbortSignal.abort() })
  await closed.close()
  made.node.handle('x', () => {})
})

test('a message of a peer in cooldown, and its timer, do not outlive the node', async () => {
  await using alice = await makeNode({ streams: ['x'], handshake: async (peer) => peer.refuse('no') })
  await using bob = await makeNode({ streams: ['x'] })
  await expect(bob.node.connect(alice.node.addrs)).rejects.toMatchObject({ code: 'HANDSHAKE_REFUSED' })
  await Promise.all([alice.node.stop(), bob.node.stop()])
  expect(alice.node.listPeers()).toEqual([])
})

test.each([
  [
    'was transferred',
    () => {
      const data = new Uint8Array(10)
      structuredClone(data, { transfer: [data.buffer] })
      return data
    },
  ],
  [
    'became smaller than the view',
    () => {
      const buffer = new ArrayBuffer(10, { maxByteLength: 10 })
      const data = new Uint8Array(buffer, 5, 5)
      buffer.resize(3)
      return data
    },
  ],
])('a message whose memory %s is refused, and numbers nothing', async (_, make) => {
  await using nodes = await pair(['x'])
  const { alice, bob, aliceId } = nodes
  alice.handle('x', () => {})
  expect(await bob.send(aliceId, 'x', 'before', { confirm: true })).toBe(1)
  await expect(bob.send(aliceId, 'x', make())).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  expect(() => bob.trySend(aliceId, 'x', make())).toThrow(/still has its memory/)
  expect(await bob.send(aliceId, 'x', new Uint8Array(0), { confirm: true })).toBe(2)
  expect(bob.buffered(aliceId)).toEqual({ messages: 0, bytes: 0 })
})
