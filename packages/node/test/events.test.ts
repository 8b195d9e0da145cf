import { collect, eventually, makeNode, pair, SimulatedClock } from '@glueberry/testkit'
import { expect, test } from 'vitest'
import { EventHub } from '../src/events/event-hub.ts'
import { Identity, Node } from '../src/index.ts'
import { silentLogger } from '../src/observe/logger.ts'

test('a whole connection’s life, in order, at both ends', async () => {
  await using nodes = await pair(['x'])
  const { alice, bob, aliceId, bobId, aliceMade, bobMade } = nodes
  await bob.disconnect(aliceId)
  await eventually(() => alice.getPeer(bobId)?.state === 'disconnected')
  await bob.connect(alice.addrs)
  await eventually(() => alice.getPeer(bobId)?.state === 'established')
  await alice.stop()
  await eventually(() => bobMade.events.some(({ type }) => type === 'reconnecting'))
  const brief = (made: typeof bobMade) =>
    made.events
      .filter((event) => 'peerId' in event)
      .map(
        (event) =>
          `${event.type}${'reason' in event && typeof event.reason === 'object' ? ` ${event.reason.kind}` : ''}`,
      )
  expect(brief(bobMade).slice(0, 9)).toEqual([
    'connecting',
    'connected',
    'established',
    'disconnected local',
    'connecting',
    'connected',
    'established',
    'disconnected remote',
    'reconnecting',
  ])
  expect(brief(aliceMade)).toEqual([
    'connected',
    'established',
    'disconnected remote',
    'connected',
    'established',
    'reconnected',
    'disconnected local',
    'closed',
  ])
  expect(aliceMade.events.filter((event) => event.type === 'status').map((event) => event.status)).toEqual([
    'starting',
    'running',
    'stopping',
    'stopped',
  ])
  expect(bobMade.events.every((event) => Object.isFrozen(event) && Number.isInteger(event.at))).toBe(true)
})

test('a slow subscriber loses its oldest events, counts them, and is told in their place; others lose nothing', async () => {
  await using made = await makeNode({ streams: ['x'], limits: { eventBuffer: 3 } })
  const { node } = made
  await using slow = node.subscribeEvents({ types: ['connecting', 'disconnected'] })
  await using quick = node.subscribeEvents({ types: ['connecting'] })
  const dead = `/ip4/127.0.0.1/tcp/1/p2p/${Identity.generate().peerId}`
  for (let i = 0; i < 4; i++) {
    await expect(node.connect(dead)).rejects.toMatchObject({ code: 'CONNECT_FAILED' })
    expect((await quick.next()).value?.type).toBe('connecting')
  }
  expect([slow.dropped, quick.dropped]).toEqual([5, 0])
  expect((await collect(slow, 4)).map((event) => event.type)).toEqual([
    'dropped',
    'disconnected',
    'connecting',
    'disconnected',
  ])
  expect(slow.dropped).toBe(5)
})

test('a subscription closed twice, left by its loop, or disposed of ends once; one made after stop is over at once', async () => {
  await using made = await makeNode({ streams: ['x'] })
  const { node } = made
  const subscription = node.subscribeEvents()
  const waiting = subscription.next()
  await Promise.all([subscription.close(), subscription.close()])
  expect(await waiting).toEqual({ done: true, value: undefined })
  expect(await subscription.next()).toEqual({ done: true, value: undefined })
  const all = node.subscribeEvents()
  await node.stop()
  const left: string[] = []
  for await (const event of all) left.push(event.type === 'status' ? event.status : event.type)
  expect(left).toEqual(['stopping', 'stopped']) // what was buffered can still be read
  expect(await node.subscribeEvents().next()).toEqual({ done: true, value: undefined })
  const off = node.on('*', () => {})
  off()
  off()
})

test('filters by type, by peer and by state', async () => {
  await using hub = await makeNode({ streams: ['x'] })
  await using b = await makeNode({ streams: ['x'] })
  await using c = await makeNode({ streams: ['x'] })
  const ofB = hub.node.eventsForPeer(b.node.peerId)
  const established = hub.node.eventsForStates('established', 'disconnected')
  const controller = new AbortController()
  const counted: string[] = []
  hub.node.on(['established'], (event) => void counted.push(event.peerId), { signal: controller.signal })
  await b.node.connect(hub.node.addrs)
  await eventually(() => counted.length === 1)
  controller.abort()
  await c.node.connect(hub.node.addrs)
  expect((await collect(established, 2)).map((event) => [event.type, 'peerId' in event && event.peerId])).toEqual([
    ['established', b.node.peerId],
    ['established', c.node.peerId],
  ])
  expect((await collect(ofB, 2)).map((event) => event.type)).toEqual(['connected', 'established'])
  expect(counted).toEqual([b.node.peerId])
})

test('a state that no event tells of is refused', async () => {
  await using made = await makeNode({ streams: ['x'] })
  expect(() => made.node.eventsForStates('draining')).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }))
})

test('a handler may call anything, stop too; what it throws or rejects with is logged and harms nobody', async () => {
  const errors: string[] = []
  const nothing = (): void => {}
  const logger = { debug: nothing, info: nothing, warn: nothing, error: (message: string) => void errors.push(message) }
  await using alice = await makeNode({ streams: ['x'], logger })
  await using bob = await makeNode({ streams: ['x'] })
  alice.node.on('connected', () => {
    throw new Error('thrown')
  })
  alice.node.on('connected', async () => {
    throw new Error('rejected')
  })
  alice.node.on('established', () => void alice.node.stop())
  await bob.node.connect(alice.node.addrs)
  await eventually(() => alice.node.status === 'stopped')
  expect(errors).toEqual(['an event handler failed', 'an event handler failed'])
})

test('the signal of the options stops the node, also one that is aborted already', async () => {
  const controller = new AbortController()
  await using made = await makeNode({ streams: ['x'], signal: controller.signal })
  controller.abort()
  await eventually(() => made.node.status === 'stopped')
  const late = new Node({ identity: Identity.generate(), streams: ['x'], signal: controller.signal })
  await expect(late.start()).rejects.toMatchObject({ code: 'STOPPED' })
})

test('a node’s own addresses are told once they are known, and only when they change', async () => {
  await using made = await makeNode({ streams: ['x'] })
  await eventually(() => made.events.some(({ type }) => type === 'addresses'))
  for (let turn = 0; turn < 100; turn++) await new Promise(setImmediate)
  const told = made.events.filter((event) => event.type === 'addresses')
  expect(told.map(({ addresses }) => addresses)).toEqual([made.node.addrs])
})

test('a handler is told of everything that was given up, however much that is at once, and a slow subscriber of all of it in ranges', async () => {
  const streams = Array.from({ length: 60 }, (_, i) => `n${i}`)
  await using alice = await makeNode<string>({ streams })
  await using bob = await makeNode<string>({ streams, limits: { eventBuffer: 3 } })
  const id = await bob.node.connect(alice.node.addrs)
  for (let i = 0; i < 240; i++) await bob.node.send(id, `n${i % 60}`, 'nobody takes this')
  const told: string[] = []
  bob.node.on('undelivered', ({ stream, from, count }) => void told.push(`${stream} ${from} ${count}`))
  const slow = bob.node.subscribeEvents({ types: ['undelivered', 'status'] })
  await bob.node.stop()
  const all = streams.map((stream) => `${stream} 1 4`)
  expect(told.sort()).toEqual(all.sort())
  const read: string[] = []
  for await (const event of slow)
    read.push(event.type === 'undelivered' ? `${event.stream} ${event.from} ${event.count}` : event.type)
  expect(read.filter((line) => line.startsWith('n')).sort()).toEqual(all)
})

test('events that tell of messages are merged by peer and name beyond the buffer, and nothing else is lost for them', () => {
  const clock = new SimulatedClock()
  const hub = new EventHub(clock, 2, silentLogger, () => {})
  const subscription = hub.subscribe()
  const [a, b] = [Identity.generate().peerId, Identity.generate().peerId]
  hub.emit({ type: 'undelivered', peerId: a, stream: 'x', from: 1, count: 2 })
  hub.emit({ type: 'connected', peerId: a })
  hub.emit({ type: 'undelivered', peerId: a, stream: 'x', from: 10, count: 1 })
  hub.emit({ type: 'undelivered', peerId: b, stream: 'x', from: 1, count: 1 })
  hub.emit({ type: 'skipped', peerId: a, stream: 'x', from: 1, count: 1 })
  hub.emit({ type: 'connected', peerId: b })
  hub.close()
  return (async () => {
    const read: string[] = []
    for await (const event of subscription) {
      read.push(
        [event.type, 'from' in event ? event.from : '', 'count' in event ? event.count : ''].filter(Boolean).join(' '),
      )
    }
    // The last `connected` is the oldest that may go, once nothing else may.
    expect(read).toEqual(['dropped 2', 'undelivered 1 10', 'undelivered 1 1', 'skipped 1 1'])
    expect(subscription.dropped).toBe(2)
  })()
})

test('a handler sees no event that was emitted before it was there, and none after it was taken away', async () => {
  const hub = new EventHub(new SimulatedClock(), 2, silentLogger, () => {})
  const told: string[] = []
  hub.emit({ type: 'status', status: 'starting' })
  const off = hub.on({}, (event) => void told.push(event.type === 'status' ? event.status : event.type))
  hub.emit({ type: 'status', status: 'running' })
  await Promise.resolve()
  hub.emit({ type: 'status', status: 'draining' })
  off()
  await Promise.resolve()
  expect(told).toEqual(['running'])
})
