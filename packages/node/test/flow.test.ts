import { collect, eventually, fill, makeNode, pair } from '@glueberry/testkit'
import { expect, test } from 'vitest'

const KiB = 1024
const small = { flow: { window: 64 * KiB }, limits: { messageSize: 16 * KiB } }

/** Credit that the names of a peer share beside their own. */
const POOL = 64 * KiB

test('a reader that never reads: its sender waits, other names go on, nothing is dropped, memory stays bounded', async () => {
  await using nodes = await pair(['read', 'unread'], { alice: small })
  const { alice, bob, aliceId, bobId } = nodes
  const data = new Uint8Array(4 * KiB)
  const accepted = await fill(() => bob.trySend(aliceId, 'unread', data))
  expect(accepted * (4 * KiB + 256)).toBeGreaterThan(48 * KiB)
  expect(accepted * (4 * KiB + 256)).toBeLessThanOrEqual(64 * KiB + POOL)
  let waits = true
  const waiting = bob.send(aliceId, 'unread', data).then(() => {
    waits = false
  })

  await using inbox = alice.messages('read')
  for (let i = 0; i < 200; i++) {
    await bob.send(aliceId, 'read', data)
    await inbox.next()
  }
  await eventually(() => alice.peerStats(bobId)?.messagesReceived === 200 + accepted)
  expect(alice.health().held).toBe(accepted * (4 * KiB + 256))
  expect(waits).toBe(true)
  expect(bob.trySend(aliceId, 'unread', data)).toBe(false)

  await using late = alice.messages('unread')
  const received = await collect(late, accepted + 1)
  expect(received.map(({ sequence }) => sequence)).toEqual(Array.from({ length: accepted + 1 }, (_, i) => i + 1))
  await waiting
  await bob.flush()
  expect(bob.trySend(aliceId, 'unread', data)).toBe(true)
})

test('trySend is false at the high mark, stays so until half of the window is free, and send waits as long', async () => {
  await using nodes = await pair(['x'], { alice: small })
  const { alice, bob, aliceId } = nodes
  const data = new Uint8Array(4 * KiB)
  const accepted = await fill(() => bob.trySend(aliceId, 'x', data))
  expect(bob.buffered(aliceId, 'x')).toEqual({ messages: accepted, bytes: accepted * 4 * KiB })
  await using inbox = alice.messages('x')
  const half = Math.floor((32 * KiB) / (4 * KiB + 256))
  for (let left = accepted - 1; left >= accepted - half; left--) {
    await inbox.next()
    await eventually(() => bob.buffered(aliceId, 'x').messages === left)
    expect(bob.trySend(aliceId, 'x', data)).toBe(false)
  }
  let waits = true
  const waiting = bob.send(aliceId, 'x', data).then(() => {
    waits = false
  })
  await inbox.next()
  await Promise.all([waiting, inbox.next()])
  expect(waits).toBe(false)
  await eventually(() => bob.trySend(aliceId, 'x', data))
  const again = 1 + (await fill(() => bob.trySend(aliceId, 'x', data)))
  expect(again).toBeGreaterThan(1) // what was freed is there to be filled, not only one place
})

test('a slow handler of an early message does not stop the others, where their order does not count', async () => {
  await using nodes = await pair(['x'], { alice: small })
  const { alice, bob, aliceId } = nodes
  const later = Promise.withResolvers<void>()
  let handled = 0
  // The first waits for one that can only come when the mark has been met and left again.
  alice.handle(
    'x',
    (message) => {
      if (++handled === 100) later.resolve()
      return message.sequence === 1 ? later.promise : undefined
    },
    { ordered: false, concurrency: 8 },
  )
  for (let i = 0; i < 200; i++) {
    if (!bob.trySend(aliceId, 'x', new Uint8Array(4 * KiB))) await bob.send(aliceId, 'x', new Uint8Array(4 * KiB))
  }
  await bob.flush()
  expect(handled).toBe(200)
})

test('a hundred peers that all send at full speed to a node that reads nothing stay within its budget; then all is read', async () => {
  const [PEERS, MESSAGES, SIZE] = [100, 60, 1000]
  const options = {
    limits: { messageSize: 4 * KiB, pendingPerAddress: 200, connections: 300 },
    flow: { window: 64 * KiB, peerBudget: 24 * KiB, nodeBudget: 100 * 24 * KiB },
  }
  await using hub = await makeNode({ streams: ['x'], ...options })
  const peers = await Promise.all(Array.from({ length: PEERS }, () => makeNode({ streams: ['x'] })))
  try {
    const sending = peers.map(async ({ node }) => {
      const id = await node.connect(hub.node.addrs)
      for (let i = 0; i < MESSAGES; i++) await node.send(id, 'x', new Uint8Array(SIZE).fill(i))
    })
    // Of 60 each: so all of them wait.
    const most = PEERS * (24 * KiB + 4 * KiB)
    await eventually(() => hub.node.health().held > PEERS * 20 * KiB)
    await fill(() => false)
    expect(hub.node.health().held).toBeLessThanOrEqual(most)
    const next = new Map<string, number>()
    let count = 0
    for await (const { peerId, data } of hub.node.messages('x')) {
      expect(data[0]).toBe(next.get(peerId) ?? 0)
      next.set(peerId, (data[0] as number) + 1)
      if (++count === PEERS * MESSAGES) break
    }
    await Promise.all(sending)
    expect([...next.values()]).toEqual(Array(PEERS).fill(MESSAGES))
  } finally {
    await Promise.all(peers.map(({ node }) => node.stop()))
  }
})

test('while a name is blocked, heartbeats and acknowledgements go on', async () => {
  const heartbeat = { interval: 20, timeout: 60_000 }
  await using nodes = await pair(['read', 'unread'], { alice: { ...small, heartbeat }, bob: { heartbeat } })
  const { alice, bob, aliceId, bobId } = nodes
  await fill(() => bob.trySend(aliceId, 'unread', new Uint8Array(4 * KiB)))
  await eventually(
    () => bob.peerStats(aliceId)?.roundTrip !== undefined && alice.peerStats(bobId)?.roundTrip !== undefined,
  )
  alice.handle('read', () => {})
  await bob.send(aliceId, 'read', 'acknowledged', { confirm: true })
})

test('while one consumer is slow, a million bytes pass through a window of 64 KiB, and no more than that and the pool is ever held', async () => {
  await using nodes = await pair(['x'], { alice: small })
  const { alice, bob, aliceId } = nodes
  const count = 300
  const sending = (async () => {
    for (let i = 0; i < count; i++) await bob.send(aliceId, 'x', new Uint8Array(4 * KiB).fill(i & 0xff))
  })()
  let next = 0
  for await (const message of alice.messages('x')) {
    expect(message.data[0]).toBe(next++ & 0xff)
    expect(alice.health().held).toBeLessThanOrEqual(64 * KiB + POOL)
    await new Promise<void>((resolve) => setImmediate(resolve)) // slower than its sender
    if (next === count) break
  }
  await sending
})

test('a window that is much used grows up to what the options allow', async () => {
  await using nodes = await pair(['x'], { alice: { flow: { window: 4096 * KiB } } })
  const { alice, bob, aliceId } = nodes
  const data = new Uint8Array(16 * KiB)
  const first = await fill(() => bob.trySend(aliceId, 'x', data))
  const handle = alice.handle('x', () => {})
  for (let i = 0; i < 1500; i++) await bob.send(aliceId, 'x', data)
  await bob.flush()
  await handle.close()
  const later = await fill(() => bob.trySend(aliceId, 'x', data))
  expect(first * (16 * KiB + 256)).toBeLessThanOrEqual(1025 * KiB + POOL)
  expect(later * (16 * KiB + 256)).toBeGreaterThan(3500 * KiB)
  expect(later * (16 * KiB + 256)).toBeLessThanOrEqual(4096 * KiB + POOL)
})

test('what is granted stays within the node’s budget; senders that it has no room for have their turn later', async () => {
  const budget = 512 * KiB
  await using hub = await makeNode({
    streams: ['x'],
    flow: { window: 512 * KiB, peerBudget: budget, nodeBudget: budget },
    limits: { messageSize: 200 * KiB },
  })
  const peers = await Promise.all(Array.from({ length: 8 }, () => makeNode({ streams: ['x'] })))
  try {
    const sent = peers.map(async ({ node }) => {
      const id = await node.connect(hub.node.addrs)
      for (let i = 0; i < 4; i++) await node.send(id, 'x', new Uint8Array(200 * KiB))
      await node.flush()
    })
    await eventually(() => hub.node.health().held > 300 * KiB)
    await fill(() => false)
    expect(hub.node.health().held).toBeLessThanOrEqual(budget + 8 * POOL)
    hub.node.handle('x', () => {})
    await Promise.all(sent)
  } finally {
    await Promise.all(peers.map(({ node }) => node.stop()))
  }
})

test('credit that peers no longer use is there for others', async () => {
  const budget = 1024 * KiB
  await using hub = await makeNode({
    streams: ['x'],
    flow: { window: budget, peerBudget: budget, nodeBudget: budget },
    limits: { messageSize: 200 * KiB },
  })
  const peers = await Promise.all(Array.from({ length: 8 }, () => makeNode({ streams: ['x'] })))
  const send = async (from: typeof peers, count: number): Promise<void> => {
    const sends = from.map(async ({ node }) => {
      const id = await node.connect(hub.node.addrs)
      await Promise.all(Array.from({ length: count }, () => node.send(id, 'x', new Uint8Array(100 * KiB))))
    })
    await Promise.all(sends)
  }
  try {
    const handle = hub.node.handle('x', () => {})
    await send(peers.slice(0, 4), 3)
    await Promise.all(peers.map(({ node }) => node.flush()))
    await handle.close()
    // Those have been promised all that there is. Nothing of what comes now is consumed.
    await send(peers.slice(4), 2)
  } finally {
    await Promise.all(peers.map(({ node }) => node.stop()))
  }
})

test('an aborted send leaves no gap, wherever it stood in the queue', async () => {
  await using nodes = await pair(['x'], { alice: small })
  const { alice, bob, aliceId } = nodes
  const full = await fill(() => bob.trySend(aliceId, 'x', new Uint8Array(16 * KiB)))
  const controllers = Array.from({ length: 6 }, () => new AbortController())
  const sends = controllers.map((controller, i) =>
    bob.send(aliceId, 'x', String(i).padEnd(16 * KiB), { signal: controller.signal }),
  )
  const outcomes = Promise.allSettled(sends)
  for (const i of [0, 3, 5]) controllers[i]?.abort(new Error(`no ${i}`))
  await using inbox = alice.messages('x')
  await collect(inbox, full)
  const rest = await collect(inbox, 3)
  expect(rest.map((message) => message.text().trim())).toEqual(['1', '2', '4'])
  expect(rest.map(({ sequence }) => sequence)).toEqual([full + 1, full + 2, full + 3])
  expect((await outcomes).map((outcome) => (outcome.status === 'rejected' ? outcome.reason.message : 'sent'))).toEqual([
    'no 0',
    'sent',
    'sent',
    'no 3',
    'sent',
    'no 5',
  ])
})

test('a send that waits has copied its bytes, of a Buffer too', async () => {
  await using nodes = await pair(['x'], { alice: small })
  const { alice, bob, aliceId } = nodes
  const full = await fill(() => bob.trySend(aliceId, 'x', new Uint8Array(16 * KiB)))
  const buffer = Buffer.from('original'.padEnd(16 * KiB))
  const waiting = bob.send(aliceId, 'x', buffer)
  buffer.fill('!')
  await using inbox = alice.messages('x')
  await collect(inbox, full)
  expect((await inbox.next()).value?.text().trim()).toBe('original')
  await waiting
})

test('someone who forgets await is told: TOO_MANY_WAITING', async () => {
  await using nodes = await pair(['x'], { alice: small, bob: { limits: { waitingSends: 10 } } })
  const { alice, bob, aliceId } = nodes
  await fill(() => bob.trySend(aliceId, 'x', new Uint8Array(16 * KiB)))
  const waiting = Array.from({ length: 10 }, () => bob.send(aliceId, 'x', new Uint8Array(16 * KiB)))
  await expect(bob.send(aliceId, 'x', 'one more')).rejects.toMatchObject({
    code: 'TOO_MANY_WAITING',
    hint: expect.stringContaining('await'),
  })
  alice.handle('x', () => {})
  await Promise.all(waiting)
})

test('while a peer is away, messages are accepted up to sendBuffer, and replayed before anything new', async () => {
  await using nodes = await pair(['x'], { bob: { flow: { sendBuffer: 64 * KiB } } })
  const { alice, bob, aliceId } = nodes
  await bob.disconnect(aliceId)
  const accepted = await fill(() => bob.trySend(aliceId, 'x', new Uint8Array(8 * KiB)))
  expect(accepted).toBe(8)
  const waiting = bob.send(aliceId, 'x', 'waited')
  await bob.connect(alice.addrs)
  await waiting
  await bob.send(aliceId, 'x', 'new')
  await using inbox = alice.messages('x')
  const received = await collect(inbox, accepted + 2)
  expect(received.slice(-2).map((message) => message.text())).toEqual(['waited', 'new'])
  expect(received.every((message) => !message.redelivered)).toBe(true)
})

test("overflow: 'error' rejects with BUFFER_FULL instead of waiting", async () => {
  await using nodes = await pair(['x'], { bob: { flow: { sendBuffer: 8 * KiB, overflow: 'error' } } })
  const { bob, aliceId } = nodes
  await bob.disconnect(aliceId)
  await bob.send(aliceId, 'x', new Uint8Array(8 * KiB))
  await expect(bob.send(aliceId, 'x', 'more')).rejects.toMatchObject({ code: 'BUFFER_FULL', retryable: true })
  expect(() => bob.trySend(aliceId, 'x', 'more')).toThrow(expect.objectContaining({ code: 'BUFFER_FULL' }))
})

test('an inbox that sits full with no consumer is warned about, once; so are two that send before they read', async () => {
  const warnings: string[] = []
  const nothing = (): void => {}
  const logger = {
    debug: nothing,
    info: nothing,
    error: nothing,
    warn: (message: string) => void warnings.push(message),
  }
  await using nodes = await pair(['x'], { alice: { ...small, logger }, bob: small })
  const { alice, bob, aliceId, bobId } = nodes
  await fill(() => bob.trySend(aliceId, 'x', new Uint8Array(16 * KiB)))
  await eventually(() => warnings.length > 0)
  expect(warnings).toEqual(['nobody takes the messages on a stream: their sender waits'])
  await fill(() => alice.trySend(bobId, 'x', new Uint8Array(16 * KiB)))
  expect(warnings).toHaveLength(1)
})
