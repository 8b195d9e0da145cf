import { eventually, FaultProxy, makeNode, pair } from '@glueberry/testkit'
import { expect, test } from 'vitest'
import type { Message } from '../src/index.ts'

/** What an application may throw, and of which not even the text can be asked for. */
const oddities: [string, () => unknown][] = [
  ['an object without a prototype', () => Object.create(null)],
  ['an error whose message is a symbol', () => Object.assign(new Error(''), { message: Symbol('odd') })],
  [
    'an error whose message throws',
    () =>
      Object.defineProperty(new Error(''), 'message', {
        get() {
          throw new Error('odd')
        },
      }),
  ],
  [
    'a revoked proxy',
    () => {
      const { proxy, revoke } = Proxy.revocable({}, {})
      revoke()
      return proxy
    },
  ],
  ['nothing', () => undefined],
]

test.each([
  ...oddities.map(([what, make]): [string, () => unknown] => [
    `rejects with ${what}`,
    () => new Promise((_, reject) => reject(make())),
  ]),
  ...oddities.map(([what, make]): [string, () => unknown] => [
    `throws ${what}`,
    () => {
      throw make()
    },
  ]),
  [
    'returns what throws when it is asked for `then`',
    () =>
      Object.defineProperty({}, 'then', {
        get() {
          throw new Error('odd')
        },
      }),
  ],
])('a handler that %s has failed, and the next message is handled', async (_, fail) => {
  await using nodes = await pair(['x'])
  const { alice, aliceMade, bob, aliceId } = nodes
  alice.handle('x', ({ sequence }) => (sequence === 1 ? fail() : undefined))
  await expect(bob.send(aliceId, 'x', 'odd', { confirm: true })).rejects.toMatchObject({ code: 'HANDLER_FAILED' })
  await bob.send(aliceId, 'x', 'even', { confirm: true })
  expect(aliceMade.events.find(({ type }) => type === 'handler-failed')).toMatchObject({ message: { sequence: 1 } })
  expect(alice.status).toBe('running')
})

test('a handler gets messages in order for each peer, peers side by side', async () => {
  await using hub = await makeNode({ streams: ['x'] })
  await using b = await makeNode({ streams: ['x'] })
  await using c = await makeNode({ streams: ['x'] })
  const id = await b.node.connect(hub.node.addrs)
  await c.node.connect(hub.node.addrs)
  const running = new Map<string, number>()
  const seen = new Map<string, number[]>()
  const release: (() => void)[] = []
  hub.node.handle('x', async (message) => {
    running.set(message.peerId, (running.get(message.peerId) ?? 0) + 1)
    expect(running.get(message.peerId)).toBe(1)
    seen.set(message.peerId, [...(seen.get(message.peerId) ?? []), message.sequence])
    await new Promise<void>((resolve) => release.push(resolve))
    running.set(message.peerId, 0)
  })
  for (let i = 0; i < 3; i++) {
    await b.node.send(id, 'x', 'b')
    await c.node.send(id, 'x', 'c')
  }
  await eventually(() => release.length === 2) // one for each peer, and no second one while it runs
  for (let done = 0; done < 6; done++) {
    await eventually(() => release.length > 0)
    release.shift()?.()
  }
  await Promise.all([b.node.flush(), c.node.flush()])
  expect([...seen.values()]).toEqual([
    [1, 2, 3],
    [1, 2, 3],
  ])
})

test('unordered handlers overlap up to the concurrency, and are acknowledged as a contiguous prefix', async () => {
  await using nodes = await pair(['x'])
  const { alice, bob, aliceId } = nodes
  const release = new Map<number, () => void>()
  alice.handle('x', (message) => new Promise<void>((resolve) => release.set(message.sequence, resolve)), {
    concurrency: 3,
    ordered: false,
  })
  for (let i = 0; i < 5; i++) await bob.send(aliceId, 'x', String(i))
  await eventually(() => release.size === 3)
  expect([...release.keys()]).toEqual([1, 2, 3])
  release.get(3)?.()
  release.get(2)?.()
  await eventually(() => release.size === 5)
  expect(bob.buffered(aliceId).messages).toBe(5) // 1 still runs: nothing before it is consumed
  release.get(1)?.()
  await eventually(() => bob.buffered(aliceId).messages === 2)
  release.get(4)?.()
  release.get(5)?.()
  await bob.flush()
})

test('what a handler throws or rejects with is told, with the message, and that counts as consumed', async () => {
  await using nodes = await pair(['x'])
  const { alice, bob, aliceId, bobId, aliceMade } = nodes
  const seen: string[] = []
  alice.handle('x', (message) => {
    seen.push(message.text())
    if (message.text() === 'throw') throw new Error('thrown')
    if (message.text() === 'reject') return Promise.reject(new Error('rejected'))
    return undefined
  })
  for (const text of ['throw', 'reject', 'fine']) await bob.send(aliceId, 'x', text)
  await bob.flush()
  expect(seen).toEqual(['throw', 'reject', 'fine'])
  await eventually(() => aliceMade.events.filter(({ type }) => type === 'handler-failed').length === 2)
  const told = aliceMade.events.filter((event) => event.type === 'handler-failed')
  expect(
    told.map(({ peerId, stream, count, message, error }) => [
      peerId,
      stream,
      count,
      message.text(),
      error.code,
      error.message,
    ]),
  ).toEqual([
    [bobId, 'x', 1, 'throw', 'HANDLER_FAILED', 'a handler of "x" failed on message 1: thrown'],
    [bobId, 'x', 1, 'reject', 'HANDLER_FAILED', 'a handler of "x" failed on message 2: rejected'],
  ])
})

test('a handler is called again for a message that it failed on, in order, before it has failed', async () => {
  await using nodes = await pair(['x'])
  const { alice, bob, aliceId, aliceMade } = nodes
  const seen: string[] = []
  alice.handle(
    'x',
    async (message) => {
      seen.push(message.text())
      const calls = seen.filter((text) => text === message.text()).length
      if (message.text() === 'never' || (message.text() === 'third time' && calls < 3)) throw new Error(`call ${calls}`)
    },
    { retries: 2, retryDelay: 1 },
  )
  for (const text of ['third time', 'never', 'fine']) await bob.send(aliceId, 'x', text)
  await bob.flush()
  expect(seen).toEqual(['third time', 'third time', 'third time', 'never', 'never', 'never', 'fine'])
  await eventually(() => aliceMade.events.some(({ type }) => type === 'handler-failed'))
  expect(aliceMade.events.filter((event) => event.type === 'handler-failed').map(({ error }) => error.message)).toEqual(
    ['a handler of "x" failed on message 2: call 3'],
  )
})

test('a sender that waits for a confirmation learns that the handler failed; the sequence ties it to what was sent', async () => {
  await using nodes = await pair(['x'])
  const { alice, bob, aliceId, bobId } = nodes
  const ids: string[] = []
  alice.handle('x', (message) => {
    ids.push(message.id)
    if (message.text() === 'bad') throw new Error('no')
  })
  expect(await bob.send(aliceId, 'x', 'good', { confirm: true })).toBe(1)
  await expect(bob.send(aliceId, 'x', 'bad', { confirm: true })).rejects.toMatchObject({
    code: 'HANDLER_FAILED',
    peerId: aliceId,
    stream: 'x',
    message: expect.stringContaining('message 2'),
  })
  expect(await bob.send(aliceId, 'x', 'bad')).toBe(3) // it was accepted, and that is all that was asked for
  await bob.flush()
  expect(await bob.send(aliceId, 'x', 'good', { confirm: true })).toBe(4)
  expect(new Set(ids).size).toBe(4)
  for (const [i, id] of ids.entries()) expect(id).toMatch(new RegExp(`^${bobId}/[0-9a-f]{32}/x/${i + 1}$`))
})

test('a failure that the line has swallowed is told by the next session', async () => {
  await using alice = await makeNode({ streams: ['x'] })
  await using bob = await makeNode({ streams: ['x'], reconnect: { baseDelay: 1 } })
  await using proxy = await FaultProxy.to(alice.node.addrs[0] as string)
  const id = await bob.node.connect(proxy.address)
  const begun = Promise.withResolvers<void>()
  const fail = Promise.withResolvers<void>()
  alice.node.handle('x', async () => {
    begun.resolve()
    await fail.promise
    throw new Error('no')
  })
  const confirmed = bob.node.send(id, 'x', 'bad', { confirm: true }).catch((error: unknown) => error)
  await begun.promise
  proxy.plan({ kind: 'refuse' })
  proxy.cut()
  await eventually(() => alice.node.health().peers.established === 0)
  fail.resolve()
  await eventually(() => alice.events.some(({ type }) => type === 'handler-failed'))
  proxy.plan({ kind: 'none' })
  expect(await confirmed).toMatchObject({ code: 'HANDLER_FAILED' })
})

test('of more failures than are remembered, the confirmations behind the last ones reject, in whatever order they failed', async () => {
  await using alice = await makeNode({ streams: ['x'] })
  await using bob = await makeNode({ streams: ['x'], reconnect: { baseDelay: 1 } })
  await using proxy = await FaultProxy.to(alice.node.addrs[0] as string)
  const id = await bob.node.connect(proxy.address)
  const outcomes = Array.from({ length: 20 }, () => Promise.withResolvers<void>())
  let begun = 0
  const handle = async ({ sequence }: Message): Promise<void> => {
    begun++
    await outcomes[sequence - 1]?.promise
  }
  alice.node.handle('x', handle, { ordered: false })
  const confirmed = outcomes.map(() =>
    bob.node.send(id, 'x', '', { confirm: true }).then(
      () => 'consumed',
      ({ code }) => code,
    ),
  )
  await eventually(() => begun === 20)
  proxy.plan({ kind: 'refuse' })
  proxy.cut()
  await eventually(() => alice.node.health().peers.established === 0)
  for (const sequence of [20, ...Array.from({ length: 17 }, (_, i) => i + 1)]) {
    outcomes[sequence - 1]?.reject(new Error('no'))
    await eventually(() =>
      alice.events.some((event) => event.type === 'handler-failed' && event.message.sequence === sequence),
    )
  }
  for (const { resolve } of outcomes) resolve()
  proxy.plan({ kind: 'none' })
  expect(await Promise.all(confirmed)).toEqual([
    'UNCONFIRMED',
    'UNCONFIRMED',
    ...Array.from({ length: 15 }, () => 'HANDLER_FAILED'),
    'consumed',
    'consumed',
    'HANDLER_FAILED',
  ])
})

test('a message that a closed handler gives back is not consumed, though a later one is', async () => {
  await using nodes = await pair(['x', 'y'])
  const { alice, bob, aliceId } = nodes
  alice.handle('y', () => {})
  const ends = Array.from({ length: 3 }, () => Promise.withResolvers<void>())
  let begun = 0
  const handle = async ({ sequence }: Message, signal: AbortSignal): Promise<void> => {
    begun++
    if (sequence === 1) signal.addEventListener('abort', () => ends[0]?.reject(signal.reason))
    await ends[sequence - 1]?.promise
  }
  const handler = alice.handle('x', handle, { ordered: false })
  const confirmed: number[] = []
  for (let i = 0; i < 3; i++) void bob.send(aliceId, 'x', '', { confirm: true }).then((last) => confirmed.push(last))
  await eventually(() => begun === 3)
  const closed = handler.close()
  ends[1]?.resolve()
  await bob.send(aliceId, 'y', '', { confirm: true }) // what is told of x comes before
  expect(confirmed).toEqual([])
  await using messages = alice.messages('x')
  expect((await messages.next()).value?.sequence).toBe(1)
  await eventually(() => confirmed.length === 2)
  ends[2]?.resolve()
  await closed
  await eventually(() => confirmed.length === 3)
})

test.each(['handle', 'messages'] as const)('in order also when a handler that runs is replaced by %s', async (form) => {
  await using nodes = await pair(['x'])
  const { alice, bob, aliceId } = nodes
  const begun = Promise.withResolvers<void>()
  const first = alice.handle('x', async (_, signal) => {
    begun.resolve()
    await new Promise((_, reject) =>
      signal.addEventListener('abort', () => queueMicrotask(() => reject(signal.reason))),
    )
  })
  for (let i = 1; i <= 3; i++) await bob.send(aliceId, 'x', String(i))
  await begun.promise
  await eventually(() => alice.peerStats(bob.peerId)?.messagesReceived === 3)
  void first.close()
  const order: number[] = []
  if (form === 'handle') alice.handle('x', ({ sequence }) => void order.push(sequence))
  else
    void (async () => {
      for await (const { sequence } of alice.messages('x')) order.push(sequence)
    })()
  await eventually(() => order.length === 3)
  expect(order).toEqual([1, 2, 3])
})

test('a handler that closes its own handle may read on itself', async () => {
  await using nodes = await pair(['x'])
  const { alice, bob, aliceId } = nodes
  const read: string[] = []
  const handler = alice.handle('x', async (message) => {
    read.push(message.text())
    await handler.close()
    await using messages = alice.messages('x')
    read.push((await messages.next()).value?.text() ?? '')
  })
  await bob.send(aliceId, 'x', 'first')
  await bob.send(aliceId, 'x', 'second', { confirm: true })
  expect(read).toEqual(['first', 'second'])
})

test('no handler runs before handle has returned', async () => {
  await using nodes = await pair(['x'])
  const { alice, bob, aliceId } = nodes
  for (let i = 0; i < 3; i++) await bob.send(aliceId, 'x', String(i))
  await eventually(() => alice.peerStats(bob.peerId)?.messagesReceived === 3)
  const handled: string[] = []
  const handle = alice.handle('x', async (message) => {
    handled.push(message.text())
    await handle.close()
  })
  expect(handled).toEqual([])
  await eventually(() => handled.length > 0)
  await handle.close()
  expect(handled).toEqual(['0'])
})

test('two handlers of one loop that wait for its end do not wait for each other; nor do those that drain', async () => {
  await using hub = await makeNode({ streams: ['x'] })
  await using b = await makeNode({ streams: ['x'] })
  await using c = await makeNode({ streams: ['x'] })
  const id = await b.node.connect(hub.node.addrs)
  await c.node.connect(hub.node.addrs)
  let running = 0
  const closed: string[] = []
  const handle = hub.node.handle('x', async (message) => {
    running++
    await eventually(() => running === 2)
    await handle.close()
    closed.push(message.peerId)
  })
  await Promise.all([b, c].map(({ node }) => node.send(id, 'x', 'close')))
  await eventually(() => closed.length === 2)
  running = 0
  const drained: unknown[] = []
  hub.node.handle('x', async () => {
    running++
    await eventually(() => running === 2)
    drained.push(await hub.node.drain())
  })
  await Promise.all([b, c].map(({ node }) => node.send(id, 'x', 'drain')))
  await eventually(() => drained.length === 2)
  expect(hub.node.status).toBe('stopped')
})

test('handle may be called before start, and its close waits for the handlers that run', async () => {
  await using bob = await makeNode({ streams: ['x'] })
  const started = Promise.withResolvers<void>()
  const finish = Promise.withResolvers<void>()
  await using alice = await makeNode({ streams: ['x'] })
  let aborted = false
  const handle = alice.node.handle('x', async (_, signal) => {
    signal.addEventListener('abort', () => {
      aborted = true
    })
    started.resolve()
    await finish.promise
  })
  const id = await bob.node.connect(alice.node.addrs)
  await bob.node.send(id, 'x', '1')
  await bob.node.send(id, 'x', '2')
  await started.promise
  let closed = false
  const closing = handle.close().then(() => {
    closed = true
  })
  expect(handle.close()).toBeInstanceOf(Promise)
  expect(aborted).toBe(true)
  await new Promise<void>((resolve) => setImmediate(resolve))
  expect(closed).toBe(false)
  finish.resolve()
  await closing
  await using rest = alice.node.messages('x') // the name is free, and the second message is still there
  expect((await rest.next()).value?.text()).toBe('2')
})

test('drain waits for handlers that run, then for the other side, and reports what was left', async () => {
  await using nodes = await pair(['x'])
  const { alice, bob, aliceId, bobId } = nodes
  const finish = Promise.withResolvers<void>()
  let finished = false
  alice.handle('x', async () => {
    await finish.promise
    finished = true
  })
  await bob.send(aliceId, 'x', 'work')
  await eventually(() => alice.peerStats(bobId)?.messagesReceived === 1)
  const draining = alice.drain()
  expect(alice.drain()).toBe(draining)
  expect(alice.status).toBe('draining')
  await alice.send(bobId, 'x', 'still allowed while what came in is being handled')
  finish.resolve()
  bob.handle('x', () => {})
  expect(await draining).toEqual({ complete: true, unsent: [], untaken: [] })
  expect([finished, alice.status]).toEqual([true, 'stopped'])
  await bob.stop()
})

test('drain gives up at its time-out and says what was left, on both sides', async () => {
  await using nodes = await pair(['x', 'y'])
  const { alice, bob, aliceId, bobId } = nodes
  for (let i = 0; i < 3; i++) await bob.send(aliceId, 'x', 'nobody takes this')
  await alice.send(bobId, 'y', 'nor this')
  await eventually(() => alice.peerStats(bobId)?.messagesReceived === 3)
  expect(await alice.drain({ timeout: 0 })).toEqual({
    complete: false,
    unsent: [{ peerId: bobId, stream: 'y', count: 1 }],
    untaken: [{ peerId: bobId, stream: 'x', count: 3 }],
  })
})

test('drain from inside a handler does not wait for that handler', async () => {
  await using nodes = await pair(['x'])
  const { alice, bob, aliceId } = nodes
  const drained = Promise.withResolvers<unknown>()
  alice.handle('x', async () => {
    drained.resolve(await alice.drain())
  })
  await bob.send(aliceId, 'x', 'stop, please')
  expect(await drained.promise).toMatchObject({ unsent: [] })
  expect(alice.status).toBe('stopped')
})

test('what a handler has started may drain later: that is not inside it any more', async () => {
  await using nodes = await pair(['x'])
  const { alice, bob, aliceId } = nodes
  const handled: string[] = []
  const drained = Promise.withResolvers<unknown>()
  const goOn = Promise.withResolvers<void>()
  alice.handle('x', async (message) => {
    handled.push(message.text())
    if (message.text() === '0') void goOn.promise.then(() => alice.drain()).then(drained.resolve)
    else await new Promise<void>((resolve) => setImmediate(resolve))
  })
  for (let i = 0; i < 20; i++) await bob.send(aliceId, 'x', String(i))
  await eventually(() => alice.peerStats(bob.peerId)?.messagesReceived === 20)
  goOn.resolve()
  expect(await drained.promise).toMatchObject({ complete: true })
  expect(handled).toHaveLength(20)
})

test('a handler may close its own handle', async () => {
  await using nodes = await pair(['x'])
  const { alice, bob, aliceId } = nodes
  const closed = Promise.withResolvers<void>()
  const handle = alice.handle('x', async () => {
    await handle.close()
    closed.resolve()
  })
  await bob.send(aliceId, 'x', 'once')
  await closed.promise
  alice.handle('x', () => {})
})

test('stop does not wait for handlers or loops; their signal aborts, their loop ends', async () => {
  await using nodes = await pair(['x', 'y'])
  const { alice, bob, aliceId } = nodes
  const aborted = Promise.withResolvers<void>()
  alice.handle('x', (_, signal) => new Promise<void>(() => signal.addEventListener('abort', () => aborted.resolve())))
  const loop = (async () => {
    for await (const _ of alice.messages('y')) {
      // nothing comes
    }
    return 'ended'
  })()
  await bob.send(aliceId, 'x', 'never done')
  await eventually(() => alice.health().held > 0)
  await alice.stop()
  await aborted.promise
  expect(await loop).toBe('ended')
})

test('a stop cuts a drain short', async () => {
  await using nodes = await pair(['x'])
  const { alice, bob, aliceId } = nodes
  await bob.send(aliceId, 'x', 'nobody takes this')
  const draining = bob.drain()
  await bob.stop()
  expect(await draining).toMatchObject({ complete: false, unsent: [{ peerId: aliceId, stream: 'x', count: 1 }] })
  void alice
})

test.each([0, -1, 1.5, Number.NaN])('a concurrency of %d is refused', async (concurrency) => {
  await using alice = await makeNode({ streams: ['x'] })
  expect(() => alice.node.handle('x', () => {}, { concurrency })).toThrow(
    expect.objectContaining({ code: 'INVALID_OPTION' }),
  )
})
