// What an honest peer may bring about, and is not taken for a hostile one: nothing that it sends counts as abuse.
import { eventually, FaultProxy, type MadeNode, makeNode } from '@glueberry/testkit'
import { expect, test } from 'vitest'
import { decides } from '../src/connection/session-set.ts'
import { Identity, type PeerId } from '../src/index.ts'
import { peerIdBytes } from '../src/peer-id.ts'

/** More than the guard of a session allows at once of messages that bring nothing. */
const MANY = 4000
/** So many of 4,000 bytes make a window much larger than the first one of a session. */
const LARGE = 6000

/** All of them may wait, so that the sender asks for credit for all of them. */
const patient = { limits: { waitingSends: 2 * MANY } }

/** Sends small messages and waits for their confirmation, in the background; resolves when the peer holds them. */
async function sendMany(
  from: MadeNode<'x'>,
  to: MadeNode<'x'>,
  id: PeerId,
  { count = MANY, size = 0, signal }: { count?: number; size?: number; signal?: AbortSignal } = {},
): Promise<void> {
  const received = (): number => to.node.peerStats(from.node.peerId)?.messagesReceived ?? 0
  const before = received()
  for (let i = 0; i < count; i++) {
    from.node.send(id, 'x', new Uint8Array(size), { confirm: true, signal }).catch(() => {})
  }
  await eventually(() => received() - before >= count)
}

const protocolErrors = (...nodes: MadeNode<'x'>[]): unknown[] =>
  nodes.flatMap(({ events }) => events.filter((e) => e.type === 'disconnected' && e.reason.kind === 'protocol'))

test('a receiver that still consumes what an earlier instance of the sender wanted confirmed', async () => {
  await using alice = await makeNode({ streams: ['x'] })
  const identity = Identity.generate()
  const first = await makeNode({ streams: ['x'], identity, ...patient })
  await sendMany(first, alice, await first.node.connect(alice.node.addrs))
  await first.node.stop()
  await using second = await makeNode({ streams: ['x'], identity })
  const id = await second.node.connect(alice.node.addrs)
  await eventually(() => alice.node.getPeer(identity.peerId)?.state === 'established')

  let consumed = 0
  alice.node.handle('x', () => void consumed++)
  await second.node.send(id, 'x', 'the last', { confirm: true })
  expect(consumed).toBe(MANY + 1)
  expect(protocolErrors(alice, second)).toEqual([])
})

test('a receiver that consumes thousands of confirmed messages behind one that takes long, after a cut', async () => {
  await using alice = await makeNode({ streams: ['x'], limits: { messageSize: 4096 } })
  await using bob = await makeNode({ streams: ['x'], limits: { messageSize: 4096 } })
  await using proxy = await FaultProxy.to(alice.node.addrs[0] as string)
  const id = await bob.node.connect(proxy.address)
  const [all, slow] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  let consumed = 0
  alice.node.handle(
    'x',
    async ({ data, sequence }) => {
      if (data.length > 300) return // of those that only make the window large
      await (sequence === LARGE + 1 ? slow.promise : all.promise)
      consumed++
    },
    { ordered: false },
  )
  for (let i = 0; i < LARGE; i++) await bob.node.send(id, 'x', new Uint8Array(4000))
  await bob.node.flush(id)
  const established = (): number => bob.events.filter(({ type }) => type === 'established').length
  const count = 7000
  await sendMany(bob, alice, id, { count, size: 300 })
  proxy.cut()
  await eventually(() => established() === 2)
  await eventually(() => alice.node.getPeer(bob.node.peerId)?.state === 'established')

  all.resolve()
  await eventually(() => consumed === count - 1)
  slow.resolve()
  await bob.node.flush(id)
  expect(protocolErrors(alice, bob)).toEqual([])
})

test('a receiver whose handler fails on thousands of messages for whose confirmation the sender no longer waits', async () => {
  await using alice = await makeNode({ streams: ['x'] })
  await using bob = await makeNode({ streams: ['x'], ...patient })
  const id = await bob.node.connect(alice.node.addrs)
  const gate = Promise.withResolvers<void>()
  alice.node.handle('x', async () => {
    await gate.promise
    throw new Error('no')
  })
  const patience = new AbortController()
  await sendMany(bob, alice, id, { signal: patience.signal })
  patience.abort()
  gate.resolve()
  await bob.node.flush(id)
  expect(protocolErrors(alice, bob)).toEqual([])
})

test.each([true, false])(
  'a peer that has not noticed the end of the last session may be connected to at once; it decides: %s',
  async (itDecides) => {
    const [one, other] = [Identity.generate(), Identity.generate()]
    const oneDecides = decides(peerIdBytes(one.peerId), peerIdBytes(other.peerId))
    await using alice = await makeNode({ streams: ['x'], identity: oneDecides === itDecides ? other : one })
    await using bob = await makeNode({
      streams: ['x'],
      identity: oneDecides === itDecides ? one : other,
      reconnect: false,
    })
    await using proxy = await FaultProxy.to(alice.node.addrs[0] as string)
    await bob.node.connect(proxy.address)
    await eventually(() => alice.node.getPeer(bob.node.peerId)?.state === 'established')
    proxy.halfOpen() // alice sees the end of it, and forgets all but a little of bob, who sees nothing
    await eventually(() => alice.events.some(({ type }) => type === 'disconnected'))
    await alice.node.connect(bob.node.addrs)
    expect(alice.node.getPeer(bob.node.peerId)?.state).toBe('established')
  },
)
