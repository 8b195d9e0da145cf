import { collect, eventually, makeNode, pair } from '@glueberry/testkit'
import { expect, test } from 'vitest'
import { Identity, Node } from '../src/index.ts'

test('what is kept over a disconnect arrives after the next connect, once and in order, and the session is resumed', async () => {
  await using nodes = await pair(['x'])
  const { alice, bob, aliceId, bobId, bobMade } = nodes
  const received: number[] = []
  alice.handle('x', (message) => {
    expect([message.redelivered, message.sequence]).toEqual([false, received.length + 1])
    received.push(Number(message.text()))
  })
  const total = 20_000
  let sent = 0
  const sending = (async () => {
    for (; sent < total; sent++) await bob.send(aliceId, 'x', String(sent))
  })()
  for (let cut = 0; cut < 10; cut++) {
    await eventually(() => sent >= Math.min(total, (cut + 1) * 1500))
    await (cut % 2 === 0 ? bob.disconnect(aliceId) : alice.disconnect(bobId))
    await eventually(() => bob.getPeer(aliceId)?.state === 'disconnected')
    await bob.connect(alice.addrs)
  }
  await sending
  await bob.flush()
  expect(received).toEqual(Array.from({ length: total }, (_, i) => i))
  expect(bobMade.events.filter((event) => event.type === 'established').map((event) => event.resumed)).toEqual([
    false,
    ...Array.from({ length: 10 }, () => true),
  ])
  expect(bob.peerStats(aliceId)).toMatchObject({ reconnects: 10, lastReason: { kind: expect.any(String) } })
})

test('a receiver that restarts gets again what it had not consumed, marked as redelivered', async () => {
  const identity = Identity.generate()
  await using bob = await makeNode({ streams: ['x'] })
  const first = await makeNode({ streams: ['x'], identity })
  const id = await bob.node.connect(first.node.addrs)
  for (const text of ['1', '2', '3']) await bob.node.send(id, 'x', text)
  const inbox = first.node.messages('x')
  await collect(inbox, 2)
  await eventually(() => bob.node.buffered(id).messages === 1)
  await first.node.stop()
  await eventually(() => bob.node.getPeer(id)?.state === 'reconnecting')
  await bob.node.send(id, 'x', '4')

  await using second = await makeNode({ streams: ['x'], identity })
  await bob.node.connect(second.node.addrs)
  await using again = second.node.messages('x')
  expect((await collect(again, 2)).map((message) => [message.text(), message.sequence, message.redelivered])).toEqual([
    ['3', 3, true],
    ['4', 4, false],
  ])
  const established = bob.events.filter((event) => event.type === 'established')
  expect(established.map((event) => event.resumed)).toEqual([false, false])
})

test('a sender that restarts begins anew, while messages of its earlier life still wait', async () => {
  const identity = Identity.generate()
  await using alice = await makeNode({ streams: ['x'] })
  for (const life of ['first', 'second']) {
    await using bob = await makeNode({ streams: ['x'], identity })
    const id = await bob.node.connect(alice.node.addrs)
    await bob.node.send(id, 'x', life)
    await eventually(
      () => (alice.node.peerStats(identity.peerId)?.messagesReceived ?? 0) === (life === 'first' ? 1 : 2),
    )
  }
  await using inbox = alice.node.messages('x')
  expect((await collect(inbox, 2)).map((message) => [message.text(), message.sequence, message.redelivered])).toEqual([
    ['first', 1, false],
    ['second', 1, false],
  ])
})

test('two nodes that connect to each other at once end with one session, and lose nothing', async () => {
  for (let round = 0; round < 15; round++) {
    await using a = await makeNode({ streams: ['x'] })
    await using b = await makeNode({ streams: ['x'] })
    const [idB, idA] = await Promise.all([a.node.connect(b.node.addrs), b.node.connect(a.node.addrs)])
    await using inboxA = a.node.messages()
    await using inboxB = b.node.messages()
    for (let i = 0; i < 20; i++) {
      await a.node.send(idB, 'x', String(i))
      await b.node.send(idA, 'x', String(i))
    }
    const expected = Array.from({ length: 20 }, (_, i) => String(i))
    expect((await collect(inboxB, 20)).map((message) => message.text())).toEqual(expected)
    expect((await collect(inboxA, 20)).map((message) => message.text())).toEqual(expected)
    for (const { events } of [a, b]) {
      expect(events.filter((event) => event.type === 'disconnected')).toEqual([])
      expect(events.filter((event) => event.type === 'established')).toHaveLength(1)
    }
  }
})

test('calls of connect share one attempt; one caller’s abort spares the others, the last one’s ends it', async () => {
  await using alice = await makeNode({ streams: ['x'] })
  await using bob = await makeNode({ streams: ['x'] })
  const controller = new AbortController()
  const attempts = [
    bob.node.connect(alice.node.addrs),
    bob.node.connect(alice.node.addrs, { signal: controller.signal }),
  ]
  controller.abort(new Error('mine alone'))
  await expect(attempts[1]).rejects.toThrow('mine alone')
  expect(await attempts[0]).toBe(alice.node.peerId)
  expect(bob.events.filter((event) => event.type === 'connecting')).toHaveLength(1)
  expect(await bob.node.connect(alice.node.peerId)).toBe(alice.node.peerId) // connected already

  await using carol = await makeNode({ streams: ['x'] })
  const only = new AbortController()
  const attempt = carol.node.connect(alice.node.addrs, { signal: only.signal })
  only.abort(new Error('no longer'))
  await expect(attempt).rejects.toThrow('no longer')
  await eventually(() => carol.node.getPeer(alice.node.peerId)?.state === 'disconnected')
  await carol.node.connect(alice.node.addrs) // and it can be tried anew
})

test('each address is tried once, in order, and the error names every one', async () => {
  await using alice = await makeNode({ streams: ['x'] })
  await using bob = await makeNode({ streams: ['x'] })
  const dead = [`/ip4/127.0.0.1/tcp/1/p2p/${alice.node.peerId}`, `/ip4/127.0.0.1/tcp/2/p2p/${alice.node.peerId}`]
  const error = await bob.node.connect(dead).catch((reason: unknown) => reason)
  expect(error).toMatchObject({ code: 'CONNECT_FAILED', retryable: true, peerId: alice.node.peerId })
  expect(String(error)).toMatch(/tcp\/1.*tcp\/2/s)
  expect(await bob.node.connect([...dead, ...alice.node.addrs])).toBe(alice.node.peerId)
})

test('an address where another node answers is refused, and both are named', async () => {
  await using alice = await makeNode({ streams: ['x'] })
  await using bob = await makeNode({ streams: ['x'] })
  const other = Identity.generate().peerId
  const address = (alice.node.addrs[0] as string).replace(alice.node.peerId, other)
  await expect(bob.node.connect(address)).rejects.toMatchObject({
    code: 'WRONG_IDENTITY',
    retryable: false,
    message: expect.stringContaining(`${alice.node.peerId} answered`),
    hint: expect.stringContaining('invite'),
  })
})

test('addPeer keeps an address and metadata for later, and connects in the background unless told not to', async () => {
  await using alice = await makeNode({ streams: ['x'] })
  await using bob = await makeNode({ streams: ['x'] })
  const { peerId } = alice.node
  await bob.node.addPeer(peerId, alice.node.addrs, { metadata: { name: 'alice' }, connect: false })
  expect(bob.node.getPeer(peerId)).toMatchObject({ saved: true, state: 'disconnected', metadata: { name: 'alice' } })
  await bob.node.send(peerId, 'x', 'kept') // accepted for when it comes
  await bob.node.connect(peerId)
  await using inbox = alice.node.messages('x')
  expect((await inbox.next()).value?.text()).toBe('kept')
  await bob.node.removePeer(peerId)
  expect(bob.node.getPeer(peerId)).toBeUndefined()
  await bob.node.addPeer(peerId, alice.node.addrs)
  await eventually(() => bob.node.getPeer(peerId)?.state === 'established')
  await expect(bob.node.addPeer(peerId, [], { metadata: { note: 'x'.repeat(5000) } })).rejects.toMatchObject({
    code: 'INVALID_OPTION',
  })
})

test('removePeer gives up what is kept, and tells everyone who waits', async () => {
  await using nodes = await pair(['x'], { alice: { flow: { window: 20_000 }, limits: { messageSize: 10_000 } } })
  const { bob, aliceId, bobMade } = nodes
  let kept = 0
  while (bob.trySend(aliceId, 'x', new Uint8Array(5000))) kept++
  const confirm = bob.send(aliceId, 'x', new Uint8Array(5000), { confirm: true })
  const flushing = bob.flush(aliceId)
  const outcomes = Promise.allSettled([confirm, flushing])
  await bob.removePeer(aliceId)
  expect((await outcomes).map((outcome) => (outcome.status === 'rejected' ? outcome.reason.code : 'resolved'))).toEqual(
    ['PEER_REMOVED', 'UNDELIVERED'],
  )
  await eventually(() => bobMade.events.at(-1)?.type === 'closed')
  expect(bobMade.events.slice(-3).map(({ type }) => type)).toEqual(['undelivered', 'disconnected', 'closed'])
  expect(bobMade.events.find((event) => event.type === 'undelivered')).toMatchObject({
    stream: 'x',
    from: 1,
    count: kept,
  })
  await expect(bob.send(aliceId, 'x', 'again')).rejects.toMatchObject({ code: 'PEER_UNKNOWN' })
})

test('a peer that stays away is given up after timeouts.resume; closed comes for strangers too, after their last message', async () => {
  await using nodes = await pair(['x'], { alice: { timeouts: { resume: 1 } }, bob: { timeouts: { resume: 1 } } })
  const { alice, bob, aliceId, bobId, aliceMade, bobMade } = nodes
  await bob.send(aliceId, 'x', 'last words')
  await eventually(() => alice.peerStats(bobId)?.messagesReceived === 1)
  await bob.disconnect(aliceId)
  await eventually(() => bobMade.events.some((event) => event.type === 'closed' && event.reason === 'expired'))
  expect(bobMade.events.some((event) => event.type === 'undelivered' && event.count === 1)).toBe(true)
  expect(aliceMade.events.some((event) => event.type === 'closed')).toBe(false)
  await using inbox = alice.messages('x')
  expect((await inbox.next()).value?.text()).toBe('last words')
  await eventually(() => aliceMade.events.some((event) => event.type === 'closed' && event.reason === 'expired'))
  expect(alice.listPeers()).toEqual([])
})

test('getPeer and listPeers show frozen values that stay identical until something changes', async () => {
  await using nodes = await pair(['x'])
  const { alice, bob, aliceId, bobId } = nodes
  await eventually(() => alice.getPeer(bobId)?.state === 'established')
  const before = { list: alice.listPeers(), peer: alice.getPeer(bobId) }
  expect(alice.listPeers()).toBe(before.list)
  expect(alice.getPeer(bobId)).toBe(before.peer)
  expect(before.list[0]).toBe(before.peer)
  expect(Object.isFrozen(before.list) && Object.isFrozen(before.peer)).toBe(true)
  await bob.disconnect(aliceId)
  await eventually(() => alice.getPeer(bobId)?.state === 'disconnected')
  expect(alice.listPeers()).not.toBe(before.list)
  expect(before.peer?.state).toBe('established')
})

test('a libp2p PeerId object names a peer too', async () => {
  await using nodes = await pair(['x'])
  const { alice, bob, aliceId } = nodes
  const object = { type: 'Ed25519', toMultihash: () => undefined, toString: () => aliceId }
  await bob.send(object, 'x', 'hi')
  await using inbox = alice.messages('x')
  expect((await inbox.next()).value?.text()).toBe('hi')
  expect(bob.getPeer(object)).toBe(bob.getPeer(aliceId))
})

test('a peer is gone from one node while another stays: sessions do not disturb one another', async () => {
  await using hub = await makeNode({ streams: ['x'] })
  await using b = await makeNode({ streams: ['x'] })
  const c = new Node({ identity: Identity.generate(), streams: ['x'] })
  await c.start()
  const id = await b.node.connect(hub.node.addrs)
  await c.connect(hub.node.addrs)
  await c.stop()
  await eventually(() => hub.node.getPeer(c.peerId)?.state === 'disconnected')
  const reason = hub.events.find((event) => event.type === 'disconnected')
  expect(reason).toMatchObject({ peerId: c.peerId, reason: { kind: 'remote' } })
  await b.node.send(id, 'x', 'still here')
  await using inbox = hub.node.messages('x')
  expect((await inbox.next()).value?.text()).toBe('still here')
})
