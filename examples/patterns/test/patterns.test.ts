import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { collect, eventually, FaultProxy, makeNode, spawnNode } from '@glueberry/testkit'
import { expect, test } from 'vitest'
import { circuitBreaker } from '../src/circuit-breaker.ts'

const source = (name: string): string => fileURLToPath(new URL(`../src/${name}.ts`, import.meta.url))

test.each([
  [
    'event-fan-out',
    [
      /^alice has 1 session/,
      /^the first to come is bob: true$/,
      /^alice has 0 session/,
      /^0 events dropped; seen: connected, established, disconnected,/,
    ],
  ],
  ['router', [/^hello, world$/, /^1\+2\+3 = 6$/]],
  ['worker-pool', [/^40 jobs done, at most 4 at once, complete: true$/]],
  ['rate-limited', [/^100 sent, 100 received$/]],
])('%s runs as it is, and ends by itself', async (name, patterns) => {
  await using child = spawnNode([source(name)])
  expect([await child.ended, child.errorLines]).toEqual([0, []])
  expect(child.lines).toEqual(patterns.map((pattern) => expect.stringMatching(pattern)))
})

test('what docs/concurrency.md shows is what runs', () => {
  const docs = readFileSync(new URL('../../../docs/concurrency.md', import.meta.url), 'utf8')
  for (const name of ['event-fan-out', 'router', 'worker-pool', 'rate-limited']) {
    expect(docs).toContain(`examples/patterns/src/${name}.ts`)
  }
})

test('the circuit breaker: quick tries, then pauses; and closed again once a session has lasted', async () => {
  await using alice = await makeNode({ streams: ['x'] })
  const delay = circuitBreaker({ tries: 3, quick: 1, pause: 20 })
  await using bob = await makeNode({ streams: ['x'], reconnect: { delay } })
  await using proxy = await FaultProxy.to(alice.node.addrs[0] as string)
  const { peerId } = alice.node
  const waits = bob.node.subscribeEvents({ types: ['reconnecting'] })
  proxy.plan({ kind: 'refuse' })
  await bob.node.addPeer(peerId, [proxy.address])
  expect((await collect(waits, 5)).map((event) => [event.attempt, event.delay])).toEqual([
    [2, 1],
    [3, 2],
    [4, 20],
    [5, 20],
    [6, 20],
  ])
  proxy.plan({ kind: 'none' })
  await eventually(() => bob.node.peerStats(peerId)?.roundTrip !== undefined)
  proxy.cut()
  await eventually(() => bob.events.some((event) => event.type === 'reconnecting' && event.attempt === 1))
})
