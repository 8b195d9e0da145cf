import { eventually, FaultProxy, fill, type MadeNode, makeNode } from '@glueberry/testkit'
import { expect, test } from 'vitest'
import type { Node, NodeOptions } from '../src/index.ts'
import { Budget } from '../src/stream/budget.ts'
import { CreditPool } from '../src/stream/credit-pool.ts'
import { ReceiveCredit } from '../src/stream/receive-credit.ts'

// Credit in odd orders of events, with budgets that are just large enough (docs/credit.md).

const KiB = 1024
const STREAMS = ['x', 'y', 'z'] as const
type Name = (typeof STREAMS)[number]
const LARGE = 512 * KiB
/** What a node's budget has beyond the option, and what a largest message costs. */
const [SLACK, COST] = [64 * 256, LARGE + 256]

/** A node whose budget has room for so much beside so many largest messages. */
const receiver = (messages: number, more: number): Promise<MadeNode<Name>> => {
  const flow = { window: 2 * LARGE, peerBudget: 3 * LARGE, nodeBudget: messages * COST + more - SLACK }
  return makeNode({ streams: STREAMS, logger: false, limits: { messageSize: LARGE }, flow })
}

async function connected(to: Node<Name>, options: Partial<NodeOptions<Name>> = {}): Promise<MadeNode<Name>> {
  const made = await makeNode<Name>({ streams: STREAMS, logger: false, listen: [], ...options })
  await made.node.connect(to.addrs)
  return made
}

/** So many peers that have each sent one largest message on a name that nobody reads. */
async function hold(node: Node<Name>, count: number): Promise<MadeNode<Name>[]> {
  const peers = await Promise.all(Array.from({ length: count }, () => connected(node)))
  for (const peer of peers) await peer.node.send(node.peerId, 'x', new Uint8Array(LARGE))
  await eventually(() => node.health().held === count * COST)
  return peers
}

/** Resolves when the peer has heard everything that this node has told it so far: it is all on one connection. */
const heard = async (from: Node<Name>, to: Node<Name>): Promise<void> => {
  await from.send(to.peerId, 'z', 'here', { confirm: true })
}

test('a name that nobody reads is not granted more in each session: another name of the peer goes on', async () => {
  const size = 256 * KiB
  const flow = { window: 512 * KiB, peerBudget: 3 * size }
  await using bob = await makeNode({ streams: STREAMS, logger: false, limits: { messageSize: size }, flow })
  await using proxy = await FaultProxy.to(bob.node.addrs[0] as string)
  await using alice = await makeNode({ streams: STREAMS, logger: false, listen: [], reconnect: { firstDelay: 0 } })
  const id = await alice.node.connect(proxy.address)
  bob.node.handle(['y', 'z'], () => {})
  for (let i = 0; i < 20; i++) alice.node.send(id, 'x', new Uint8Array(size)).catch(() => {})
  await eventually(() => bob.node.health().held >= size)
  for (let sessions = 1; sessions <= 4; sessions++) {
    await eventually(() => alice.events.filter(({ type }) => type === 'established').length === sessions)
    await heard(alice.node, bob.node)
    await alice.node.send(id, 'y', 'a', { confirm: true })
    proxy.cut()
  }
  expect(bob.node.health().held).toBeLessThanOrEqual(size + 256 + 64 * KiB)
})

test('a name that can never have half of the credit again that it had at first is sent all the same', async () => {
  const flow = { window: 16 * KiB }
  await using bob = await makeNode({ streams: STREAMS, logger: false, limits: { messageSize: 10 * KiB }, flow })
  await using alice = await connected(bob.node)
  const id = bob.node.peerId
  bob.node.handle('y', () => {})
  await alice.node.send(id, 'y', 'y is in use before x takes the pool', { confirm: true })
  const taken = await fill(() => alice.node.trySend(id, 'x', new Uint8Array(4 * KiB)))
  await eventually(() => bob.node.health().held === taken * (4 * KiB + 256))
  await Promise.all(Array.from({ length: 200 }, () => alice.node.send(id, 'y', new Uint8Array(2 * KiB))))
  await alice.node.flush(id, { stream: 'y' })
})

test('a request that waits for room is granted when what came out of the pool is consumed', async () => {
  await using bob = await receiver(4, 30 * KiB)
  const others = await hold(bob.node, 3)
  await using alice = await connected(bob.node)
  const id = bob.node.peerId
  bob.node.handle('z', () => {})
  await using inbox = bob.node.messages('y')
  await alice.node.send(id, 'y', new Uint8Array(50 * KiB)) // out of the pool
  await eventually(() => bob.node.health().held === 3 * COST + 50 * KiB + 256)
  const sent = alice.node.send(id, 'y', new Uint8Array(LARGE))
  await heard(alice.node, bob.node)
  await inbox.next()
  const next = inbox.next() // the first one is consumed
  await sent
  expect((await next).value?.data.length).toBe(LARGE)
  await Promise.all(others.map(({ node }) => node.stop()))
})

test('a peer that waited for room and goes does not hold up those behind it', async () => {
  await using bob = await receiver(3, 400 * KiB)
  const others = await hold(bob.node, 3)
  await using alice = await connected(bob.node)
  await using dave = await connected(bob.node)
  const id = bob.node.peerId
  bob.node.handle(['y', 'z'], () => {})
  const first = alice.node.send(id, 'y', new Uint8Array(LARGE)).catch(({ code }) => code)
  await heard(alice.node, bob.node)
  const second = dave.node.send(id, 'y', new Uint8Array(100 * KiB))
  await heard(dave.node, bob.node)
  await alice.node.stop()
  await second
  expect(await first).toBe('STOPPED')
  await Promise.all(others.map(({ node }) => node.stop()))
})

test('peers that send large messages without end leave another one its turn', async () => {
  await using bob = await receiver(3, 300 * KiB)
  const busy = await Promise.all(Array.from({ length: 3 }, () => connected(bob.node)))
  await using late = await connected(bob.node)
  const id = bob.node.peerId
  bob.node.handle(STREAMS, () => {})
  let over = false
  const floods = busy.map(async ({ node }) => {
    while (!over) await node.send(id, 'x', new Uint8Array(LARGE))
  })
  await eventually(() => busy.every(({ node }) => (bob.node.peerStats(node.peerId)?.messagesReceived ?? 0) > 9))
  for (let i = 0; i < 5; i++) await late.node.send(id, 'x', new Uint8Array(LARGE), { confirm: true })
  over = true
  await Promise.all(floods)
  await Promise.all(busy.map(({ node }) => node.stop()))
})

test('strangers that come, write what needs no asking, and go, do not pass the budget of the node', async () => {
  const nodeBudget = 256 * KiB
  const flow = { window: 64 * KiB, peerBudget: 64 * KiB, nodeBudget }
  const limits = { messageSize: 4 * KiB, connections: 2, pendingPerAddress: 64 }
  await using bob = await makeNode({ streams: STREAMS, logger: false, limits, flow })
  for (let i = 0; i < 24; i++) {
    await using stranger = await connected(bob.node, { reconnect: false })
    const { peerId } = stranger.node
    const sent = await fill(() => stranger.node.trySend(bob.node.peerId, 'x', new Uint8Array(KiB)))
    await eventually(() => (bob.node.peerStats(peerId)?.messagesReceived ?? 0) >= Math.min(sent, 1))
    await stranger.node.stop()
    await eventually(() => bob.node.health().peers.established === 0)
  }
  const { held } = bob.node.health()
  expect(held).toBeGreaterThan(nodeBudget / 2) // else this has shown nothing
  expect(held).toBeLessThanOrEqual(nodeBudget + SLACK + nodeBudget / 8)
})

test('a message may overtake the return of credit that was sent before it; more than is left is refused', () => {
  const credit = new ReceiveCredit({ firstWindow: 100, windowMax: 1000, budget: new Budget(1000) })
  credit.attach(new CreditPool(10), 0)
  credit.establish()
  credit.want(100)
  expect(credit.grant(0)).toBeUndefined()
  expect(credit.tell(0, true)).toBe(100)
  expect(credit.giveBack(101, 0)).toBe(false)
  expect(credit.spend(10)).toBe(true) // sent behind the return, out of the pool
  expect(credit.giveBack(100, 10)).toBe(true)
  expect(credit.left).toBe(0)
  expect(credit.spend(1)).toBe(false)
})

test('on a line slower than its sender the names of a peer share a connection, and it holds', async () => {
  const streams = Array.from({ length: 16 }, (_, i) => `n${i}`)
  await using bob = await makeNode<string>({ streams, logger: false })
  await using alice = await makeNode<string>({ streams, logger: false, listen: [] })
  await using proxy = await FaultProxy.to(bob.node.addrs[0] as string)
  proxy.plan({ kind: 'line', profile: { delay: 20, rate: 400_000_000 }, random: Math.random })
  bob.node.handle(streams, () => {})
  const id = await alice.node.connect(proxy.address)
  await Promise.all(
    streams.map(async (name) => {
      for (let i = 0; i < 60; i++) await alice.node.send(id, name, new Uint8Array(64 * KiB))
    }),
  )
  await alice.node.flush()
  expect(alice.events.filter(({ type }) => type === 'disconnected')).toEqual([])
})
