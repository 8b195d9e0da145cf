import { collect, eventually, makeNode, pair, RawPeer } from '@glueberry/testkit'
import { expect, test } from 'vitest'
import { type HandshakePeer, Identity, Node, type Verdict } from '../src/index.ts'
import { HandClock } from './support/hand-clock.ts'

const accepting = async (peer: HandshakePeer): Promise<Verdict> => peer.accept()

test('both applications may talk before they decide', async () => {
  const heard: string[] = []
  const talk =
    (own: string) =>
    async (peer: HandshakePeer): Promise<Verdict> => {
      await peer.send(`${own} 1`)
      await peer.send(Buffer.from(`${own} 2`))
      heard.push(Buffer.from(await peer.receive()).toString(), Buffer.from(await peer.receive()).toString())
      return peer.accept()
    }
  await using nodes = await pair(['x'], { alice: { handshake: talk('alice') }, bob: { handshake: talk('bob') } })
  expect(heard.sort()).toEqual(['alice 1', 'alice 2', 'bob 1', 'bob 2'])
  expect(nodes.alice.getPeer(nodes.bobId)).toMatchObject({ state: 'established', direction: 'inbound' })
  expect(nodes.bob.getPeer(nodes.aliceId)).toMatchObject({ state: 'established', direction: 'outbound' })
})

test('a refusal tells the other side why, and both leave each other alone for a while', async () => {
  await using alice = await makeNode({ streams: ['x'], handshake: async (peer) => peer.refuse('wrong token') })
  await using bob = await makeNode({ streams: ['x'] })
  await expect(bob.node.connect(alice.node.addrs)).rejects.toMatchObject({
    code: 'HANDSHAKE_REFUSED',
    message: expect.stringContaining('wrong token'),
  })
  expect(bob.node.getPeer(alice.node.peerId)?.state).toBe('cooldown')
  await eventually(() => alice.node.getPeer(bob.node.peerId)?.state === 'cooldown')
  await expect(bob.node.connect(alice.node.addrs)).rejects.toMatchObject({ code: 'COOLDOWN', retryable: true })
  const cooldown = bob.events.find((event) => event.type === 'cooldown')
  expect(cooldown).toMatchObject({ peerId: alice.node.peerId, reason: { kind: 'authentication' } })
  // The other way it is refused before the application is asked.
  await expect(alice.node.connect(bob.node.addrs)).rejects.toMatchObject({ code: 'COOLDOWN' })
})

test('after the cooldown it is tried anew', async () => {
  let token = 'wrong'
  await using alice = await makeNode({
    streams: ['x'],
    timeouts: { cooldown: 1 },
    handshake: async (peer) =>
      Buffer.from(await peer.receive()).toString() === 'right' ? peer.accept() : peer.refuse('token'),
  })
  await using bob = await makeNode({
    streams: ['x'],
    timeouts: { cooldown: 1 },
    handshake: async (peer) => {
      await peer.send(token)
      return peer.accept()
    },
  })
  await expect(bob.node.connect(alice.node.addrs)).rejects.toMatchObject({ code: 'HANDSHAKE_REFUSED' })
  await eventually(() => [alice, bob].every(({ node }) => !node.listPeers().some(({ state }) => state === 'cooldown')))
  token = 'right'
  await bob.node.connect(alice.node.addrs)
})

test.each([
  ['falls off its end', (async () => undefined) as unknown as (peer: HandshakePeer) => Promise<Verdict>],
  [
    'returns something else',
    (async () => ({ accepted: true })) as unknown as (peer: HandshakePeer) => Promise<Verdict>,
  ],
  [
    'returns the decision about another peer',
    (() => {
      let first: Verdict | undefined
      return async (peer: HandshakePeer) => {
        first ??= peer.accept()
        return peer.direction === 'inbound' && first !== undefined ? (Object.freeze({ ...first }) as Verdict) : first
      }
    })(),
  ],
  [
    'throws',
    async () => {
      throw new Error('inside')
    },
  ],
  [
    'throws what has no text',
    async () => {
      throw Object.create(null)
    },
  ],
])('a handshake that %s admits nobody, and puts nobody in cooldown', async (_, handshake) => {
  const errors: string[] = []
  const nothing = (): void => {}
  const logger = { debug: nothing, info: nothing, warn: nothing, error: (message: string) => void errors.push(message) }
  await using alice = await makeNode({ streams: ['x'], handshake, logger })
  await using bob = await makeNode({ streams: ['x'] })
  await expect(bob.node.connect(alice.node.addrs)).rejects.toMatchObject({ code: 'HANDSHAKE_REFUSED' })
  await eventually(() => errors.length > 0 && alice.errors.length > 0)
  expect(alice.errors[0]).toMatchObject({
    code: 'HANDSHAKE_REFUSED',
    peerId: bob.node.peerId,
    cause: expect.anything(),
  })
  expect(alice.node.health().peers).toMatchObject({ established: 0, cooldown: 0 })
  expect(bob.node.health().peers).toMatchObject({ established: 0, cooldown: 0 })
})

test('a handshake that never decides is ended by the time-out, and its signal tells it so', async () => {
  const clock = new HandClock(12_345)
  const [began, aborted] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const alice = new Node(
    {
      identity: Identity.generate(),
      listen: ['/ip4/127.0.0.1/tcp/0'],
      streams: ['x'],
      timeouts: { handshake: 12_345 },
      handshake: (peer) => {
        began.resolve()
        return new Promise((_, reject) => {
          peer.signal.addEventListener('abort', () => {
            aborted.resolve()
            reject(peer.signal.reason)
          })
        })
      },
    },
    clock.platform,
  )
  await alice.start()
  await using bob = await makeNode({ streams: ['x'] })
  const outcome = expect(bob.node.connect(alice.addrs)).rejects.toMatchObject({ code: 'HANDSHAKE_TIMEOUT' })
  await began.promise
  clock.fire()
  await Promise.all([outcome, aborted.promise])
  await alice.stop()
})

test('a flood of handshake messages ends the session, not the node', async () => {
  await using alice = await makeNode({
    streams: ['x'],
    timeouts: { handshake: 20_000 },
    handshake: () => new Promise(() => {}),
  })
  await using bob = await makeNode({
    streams: ['x'],
    handshake: async (peer) => {
      for (let i = 0; i < 65; i++) await peer.send('x')
      return peer.accept()
    },
  })
  await expect(bob.node.connect(alice.node.addrs)).rejects.toMatchObject({ code: 'PROTOCOL' })
  expect(alice.node.status).toBe('running')
})

test('another network and this node itself are refused with a clear word', async () => {
  await using alice = await makeNode({ streams: ['x'], network: 'one' })
  await using bob = await makeNode({ streams: ['x'], network: 'two' })
  await expect(bob.node.connect(alice.node.addrs)).rejects.toMatchObject({ code: 'NETWORK_MISMATCH' })
  await expect(bob.node.connect(bob.node.addrs)).rejects.toMatchObject({
    code: 'INVALID_PEER_ID',
    message: expect.stringContaining('itself'),
  })
})

test.each(['chacha20-poly1305', 'aes-256-gcm'] as const)(
  'a node that is told to use %s uses it with a peer that would take either',
  async (cipher) => {
    await using alice = await makeNode({ streams: ['x'], cipher })
    await using peer = await new RawPeer().establish(alice.node)
    expect(peer.secrets.cipher).toBe(cipher)

    await using bob = await makeNode({ streams: ['x'], cipher: 'aes-256-gcm' })
    const id = await bob.node.connect(alice.node.addrs)
    await using inbox = alice.node.messages('x')
    const data = new Uint8Array(200_000).fill(7)
    await bob.node.send(id, 'x', data)
    expect((await collect(inbox, 1))[0]?.data).toEqual(data)
  },
)

test('blockPeer ends a live session, holds both ways, and for peers never seen', async () => {
  await using nodes = await pair(['x'], { alice: { handshake: accepting } })
  const { alice, bob, aliceId, bobId, aliceMade } = nodes
  await alice.blockPeer(bobId, { reason: 'spam' })
  expect(alice.getPeer(bobId)).toMatchObject({ state: 'disconnected', blocked: { reason: 'spam' } })
  await eventually(() => bob.getPeer(aliceId)?.state === 'reconnecting') // it is not told why
  await expect(alice.connect(bob.addrs)).rejects.toMatchObject({
    code: 'PEER_BLOCKED',
    message: expect.stringContaining('spam'),
  })
  await expect(alice.send(bobId, 'x', 'hi')).rejects.toMatchObject({ code: 'PEER_BLOCKED' })
  await expect(bob.connect(alice.addrs)).rejects.toMatchObject({
    code: expect.stringMatching(/CONNECT_FAILED|PEER_BLOCKED/),
  })
  await eventually(() => aliceMade.events.some((event) => event.type === 'closed' && event.reason === 'blocked'))
  await alice.unblockPeer(bobId)
  expect(alice.getPeer(bobId)).toBeUndefined()
  await bob.connect(alice.addrs)

  await using carol = await makeNode({ streams: ['x'] })
  await alice.blockPeer(carol.node.peerId, { duration: 50 })
  await expect(carol.node.connect(alice.addrs)).rejects.toThrow()
  await eventually(() => alice.getPeer(carol.node.peerId)?.blocked === undefined)
  await carol.node.connect(alice.addrs)
})
