import { randomBytes, randomInt } from 'node:crypto'
import { createServer } from 'node:net'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { eventually, type MadeNode, makeNode, RawPeer } from '@glueberry/testkit'
import { encodeOpen, FIN_FRAME, FrameBuffer, FrameType, type Open } from '@glueberry/wire'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { PeerStore } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { describe, expect, test } from 'vitest'
import { decides } from '../src/connection/session-set.ts'
import { type HandshakePeer, Identity, type Libp2pOptions, Node, type Verdict } from '../src/index.ts'
import { peerIdBytes } from '../src/peer-id.ts'
import { HandClock } from './support/hand-clock.ts'

const open = (changes: Partial<Open> = {}): Uint8Array =>
  encodeOpen({ name: 'x', firstSequence: 1, redeliveredThrough: 0, ...changes })
const part = (type: 'MESSAGE' | 'CONFIRM' | 'FRAGMENT', size: number): Uint8Array => {
  const frames = new FrameBuffer(64)
  frames.append(FrameType[type], new Uint8Array(size))
  return frames.bytes
}
const small = { limits: { messageSize: 2000 }, flow: { window: 4000, peerBudget: 8000, nodeBudget: 80_000 } }

/** The victim has ended the session for that reason, still runs, and serves an honest peer as before. */
async function endedWith(victim: MadeNode<'x'>, peer: RawPeer, kind: string): Promise<void> {
  const ended = () =>
    victim.events.find((event) => event.type === 'disconnected' && event.peerId === peer.identity.peerId)
  await eventually(() => ended() !== undefined)
  expect(ended()).toMatchObject({ reason: { kind } })
  expect(victim.node.status).toBe('running')
  await using honest = await makeNode({ streams: ['x'] })
  const id = await honest.node.connect(victim.node.addrs)
  await honest.node.send(id, 'x', 'still here')
  await eventually(() => victim.node.peerStats(honest.node.peerId)?.messagesReceived === 1)
}

const violations: [string, (peer: RawPeer) => Promise<void> | void][] = [
  ['SETUP twice', (peer) => peer.setup()],
  ['READY twice', (peer) => peer.ready()],
  ['a handshake message after READY', (peer) => peer.channel.send({ type: 'handshake', data: new Uint8Array(1) })],
  [
    'an acknowledgement of what was never sent',
    (peer) => peer.channel.send({ type: 'ack', acknowledgements: [{ name: 'x', consumed: 5, limit: 0 }] }),
  ],
  [
    'acknowledgements that only raise the credit, without end',
    (peer) => {
      for (let limit = 10_001; limit < 13_000; limit++)
        peer.channel.send({ type: 'ack', acknowledgements: [{ name: 'x', consumed: 0, limit }] })
    },
  ],
  ['control bytes that do not open', (peer) => void peer.stream.send([Uint8Array.of(0, 20, ...new Uint8Array(20))])],
  ['a control record above every limit', (peer) => void peer.stream.send([Uint8Array.of(0xff, 0xff)])],
  ['65 names', (peer) => peer.channel.send({ type: 'streams', names: Array.from({ length: 64 }, (_, i) => `n${i}`) })],
  [
    'sequences beyond 2^53',
    async (peer) =>
      (await peer.dataStream()).send(open({ firstSequence: 2 ** 53 - 1 }), part('MESSAGE', 1), part('MESSAGE', 1)),
  ],
  [
    'credit for a name that it does not accept',
    (peer) => peer.channel.send({ type: 'ack', acknowledgements: [{ name: 'unknown', consumed: 0, limit: 5 }] }),
  ],
  [
    'a wish for credit of a name that is not accepted',
    (peer) => peer.channel.send({ type: 'want', name: 'y', limit: 1 }),
  ],
  ['credit returned that was not granted', (peer) => peer.channel.send({ type: 'return', name: 'x', returned: 1 })],
  [
    'less credit returned than before',
    async (peer) => {
      await peer.want(2000)
      peer.channel.send({ type: 'return', name: 'x', returned: 2000 })
      peer.channel.send({ type: 'return', name: 'x', returned: 1000 })
    },
  ],
  [
    'credit used that was returned',
    async (peer) => {
      await peer.want(2000)
      peer.channel.send({ type: 'return', name: 'x', returned: 2000 })
      // On the same stream behind it: what is answered is known there. The pool of 4 KiB is there still.
      peer.channel.send({ type: 'ping', number: 1 })
      await eventually(() => peer.heard.includes('pong'))
      ;(await peer.dataStream()).send(open(), ...Array.from({ length: 5 }, () => part('MESSAGE', 744)))
    },
  ],
  [
    'the same acknowledgement without end',
    (peer) => {
      for (let i = 0; i < 10_000; i++)
        peer.channel.send({ type: 'ack', acknowledgements: [{ name: 'x', consumed: 0, limit: 10_000 }] })
    },
  ],
  [
    'pings without end',
    (peer) => {
      for (let i = 0; i < 10_000; i++) peer.channel.send({ type: 'ping', number: i })
    },
  ],
  ['a name that is not accepted', async (peer) => (await peer.dataStream()).send(open({ name: 'y' }))],
  ['a stream without OPEN', async (peer) => (await peer.dataStream()).send(part('MESSAGE', 1))],
  ['OPEN twice', async (peer) => (await peer.dataStream()).send(open(), open())],
  [
    'a name opened twice',
    async (peer) => {
      ;(await peer.dataStream()).send(open())
      ;(await peer.dataStream()).send(open())
    },
  ],
  [
    'a stream number used twice',
    async (peer) => {
      ;(await peer.dataStream(7)).send(open())
      ;(await peer.dataStream(7)).send(open())
    },
  ],
  [
    'more than the credit',
    async (peer) => (await peer.dataStream()).send(open(), part('MESSAGE', 1900), part('MESSAGE', 1900)),
  ],
  ['more than a message may have', async (peer) => (await peer.dataStream()).send(open(), part('MESSAGE', 2001))],
  [
    'fragments of more than a message may have',
    async (peer) => (await peer.dataStream()).send(open(), part('FRAGMENT', 1500), part('FRAGMENT', 501)),
  ],
  [
    'a message in too many parts',
    async (peer) => {
      const { send } = await peer.dataStream()
      send(open())
      for (let i = 0; i < 30; i++) send(part('FRAGMENT', 1))
    },
  ],
  [
    'a frame after FIN',
    async (peer) => (await peer.dataStream()).send(Uint8Array.from([...open(), ...FIN_FRAME, ...FIN_FRAME])),
  ],
  ['a record after FIN', async (peer) => (await peer.dataStream()).send(open(), FIN_FRAME, part('MESSAGE', 1))],
  ['a frame that does not exist', async (peer) => (await peer.dataStream()).send(open(), Uint8Array.of(99))],
  [
    'a record that was changed on its way',
    async (peer) => {
      const { stream, sealer } = await peer.dataStream()
      const pieces = sealer.seal([open()])
      const last = pieces.at(-1) as Uint8Array
      last[3] = (last[3] as number) ^ 1
      stream.send(pieces)
    },
  ],
  [
    'a record that was sent twice',
    async (peer) => {
      const { stream, sealer } = await peer.dataStream()
      const record = sealer.seal([open()])
      stream.send([...record, ...record])
    },
  ],
]

test.each(violations)('%s ends the session with reason protocol; the node lives', async (_, violate) => {
  await using victim = await makeNode<'x'>({ streams: ['x'], ...small })
  await using peer = await new RawPeer().establish(victim.node)
  await violate(peer)
  await endedWith(victim, peer, 'protocol')
  await eventually(() => peer.heard.includes('goodbye')) // and it was told
})

test('a stream that breaks off without FIN ends the session, and half a message is nothing', async () => {
  await using victim = await makeNode<'x'>({ streams: ['x'], ...small })
  await using peer = await new RawPeer().establish(victim.node)
  const { stream, send } = await peer.dataStream()
  send(open(), part('MESSAGE', 10), part('FRAGMENT', 100))
  await eventually(() => victim.node.peerStats(peer.identity.peerId)?.messagesReceived === 1)
  await stream.closeWrite()
  await endedWith(victim, peer, 'io')
  expect(victim.node.health().held).toBe(10 + 256 + 10 + 256) // the whole message, and the honest peer's
})

test('streams of no session that are written and closed at once are all ended by the node', async () => {
  await using victim = await makeNode({ streams: ['x'] })
  for (let i = 0; i < 20; i++) {
    await using peer = await new RawPeer().establish(victim.node)
    const strays = Array.from({ length: 20 }, async () => {
      const stream = await peer.bareStream()
      stream.send([randomBytes(randomInt(10, 100))])
      await stream.closeWrite()
      await stream.received.over
    })
    await Promise.all(strays)
  }
})

test('messages before a frame that breaks the protocol, in one record, are consumed like others, and hold no memory', async () => {
  await using victim = await makeNode<'x'>({ streams: ['x'], ...small })
  const texts: string[] = []
  victim.node.handle('x', (message) => void texts.push(message.text()))
  await using peer = await new RawPeer().establish(victim.node)
  const { send } = await peer.dataStream()
  send(open(), Uint8Array.of(...part('MESSAGE', 10), ...part('MESSAGE', 10), 99))
  await endedWith(victim, peer, 'protocol')
  await eventually(() => victim.node.health().held === 0)
  expect(texts).toEqual(['\0'.repeat(10), '\0'.repeat(10), 'still here'])
})

test('an honest raw peer is served: the harness breaks nothing by itself', async () => {
  await using victim = await makeNode<'x'>({ streams: ['x'], ...small })
  await using peer = await new RawPeer().establish(victim.node)
  const { send } = await peer.dataStream()
  send(open(), part('MESSAGE', 3), part('FRAGMENT', 100), part('CONFIRM', 5))
  await using inbox = victim.node.messages()
  expect([(await inbox.next()).value?.data.length, (await inbox.next()).value?.data.length]).toEqual([3, 105])
  await eventually(() => peer.heard.includes('ack'))
  peer.channel.send({ type: 'ping', number: 1 })
  await eventually(() => peer.heard.includes('pong'))
})

test.each<[string, (peer: RawPeer) => void]>([
  ['READY before SETUP', (peer) => peer.ready()],
  [
    'FAILED before READY',
    (peer) => {
      peer.setup()
      peer.channel.send({ type: 'failed', failures: [{ name: 'x', sequence: 1 }] })
    },
  ],
  ['PING before SETUP', (peer) => peer.channel.send({ type: 'ping', number: 1 })],
  ['an unknown SETUP', (peer) => peer.setup({ instance: new Uint8Array(3) as never })],
])('%s: no session, nothing remembered', async (_, violate) => {
  await using victim = await makeNode<'x'>({ streams: ['x'] })
  await using peer = await new RawPeer().handshake(victim.node)
  violate(peer)
  void peer.listen()
  await eventually(() => peer.heard.includes('goodbye'))
  await eventually(() => victim.node.listPeers().length === 0)
})

test('who grants everything and takes nothing is not given more than flow.peerBudget', async () => {
  await using victim = await makeNode<'x'>({ streams: ['x'], ...small })
  await using peer = await new RawPeer().establish(victim.node, { pool: 2 ** 53 - 1 })
  await eventually(() => victim.node.getPeer(peer.identity.peerId)?.state === 'established')
  let sent = 0
  while (victim.node.trySend(peer.identity.peerId, 'x', new Uint8Array(744))) sent++ // 1,000 with what a message costs beside
  const most = small.flow.peerBudget + 64 * 256
  expect(sent).toBe(Math.floor(most / 1000))
})

test('many of those are together not given more than flow.nodeBudget', async () => {
  await using victim = await makeNode<'x'>({ streams: ['x'], ...small })
  const peers = await Promise.all(
    Array.from({ length: 6 }, () => new RawPeer().establish(victim.node, { pool: 2 ** 53 - 1 })),
  )
  let sent = 0
  for (const { identity } of peers) {
    await eventually(() => victim.node.getPeer(identity.peerId)?.state === 'established')
    const before = sent
    while (victim.node.trySend(identity.peerId, 'x', new Uint8Array(744))) sent++
    expect(sent).toBeGreaterThan(before) // each has something of its own
  }
  expect(sent).toBeGreaterThan(90)
  expect(sent).toBeLessThanOrEqual(Math.floor((small.flow.nodeBudget + 64 * 256) / 1000) + peers.length)
  for (const peer of peers) await peer[Symbol.asyncDispose]()
})

test('nothing is remembered of strangers who come and go, in libp2p neither', async () => {
  let store: PeerStore | undefined
  const spy: NonNullable<Libp2pOptions['transports']>[number] = (components) => {
    store = components.peerStore
    return Object.assign(tcp()(components), { [Symbol.toStringTag]: 'spy' })
  }
  await using victim = await makeNode<'x'>({ streams: ['x'], libp2p: { transports: [spy] } })
  const peers = await Promise.all(Array.from({ length: 5 }, () => new RawPeer().establish(victim.node)))
  const remembered = async (): Promise<number> => (await (store as PeerStore).all()).length
  expect(await remembered()).toBeGreaterThanOrEqual(5)
  for (const peer of peers) await peer[Symbol.asyncDispose]()
  await eventually(() => victim.node.health().peers.established === 0)
  while ((await remembered()) > 1) await new Promise(setImmediate) // the node itself stays
})

test('a peer that begins sessions without end is left alone', async () => {
  await using victim = await makeNode<'x'>({ streams: ['x'] })
  await using peer = await new RawPeer().establish(victim.node)
  const renewals = async (): Promise<number> => {
    for (let i = 0; ; i++) {
      try {
        await peer.renew(victim.node)
        await peer.makeReady()
      } catch {
        return i
      }
    }
  }
  const count = await renewals() // an honest peer needs one in a second at most
  expect(count).toBeGreaterThan(1)
  expect(count).toBeLessThan(30)
  await endedWith(victim, peer, 'protocol')
})

test('READY that claims what was never sent ends the session', async () => {
  await using victim = await makeNode<'x'>({ streams: ['x'] })
  await using peer = await new RawPeer().establish(victim.node, {
    positions: new Map([['x', { received: 3, consumed: 0 }]]),
  })
  await eventually(() => peer.heard.includes('goodbye'))
  expect(victim.node.listPeers().some(({ state }) => state === 'established')).toBe(false)
})

test('a second session that the application refuses leaves the established one alone, and cools nobody down', async () => {
  let runs = 0
  const handshake = async (peer: HandshakePeer): Promise<Verdict> =>
    runs++ === 0 ? peer.accept() : peer.refuse('once')
  await using victim = await makeNode<'x'>({ streams: ['x'], handshake })
  // The smaller PeerId decides: so the node follows, and asks its application about both sessions.
  let identity = Identity.generate()
  while (!decides(peerIdBytes(identity.peerId), peerIdBytes(victim.node.peerId))) identity = Identity.generate()
  await using first = await new RawPeer(identity).establish(victim.node)
  await eventually(() => victim.node.health().peers.established === 1)
  await using second = await new RawPeer(identity).handshake(victim.node)
  second.setup()
  void second.listen()
  await eventually(() => second.heard.includes('refuse'))
  expect(runs).toBe(2)
  ;(await first.dataStream()).send(open(), part('MESSAGE', 3))
  await eventually(() => victim.node.peerStats(identity.peerId)?.messagesReceived === 1)
  expect(victim.node.getPeer(identity.peerId)?.state).toBe('established')
  expect(victim.events.some(({ type }) => type === 'cooldown')).toBe(false)
})

test.each([
  ['an instance that comes back and answers is a second program', true],
  ['one that comes back and answers nothing was on its way when its program died', false],
])('%s', async (_, answers) => {
  await using victim = await makeNode<'x'>({ streams: ['x'] })
  const identity = Identity.generate()
  const live = async (number: number, alive: boolean): Promise<RawPeer> => {
    const peer = new RawPeer(identity)
    peer.answers = alive
    return peer.establish(victim.node, {}, { instance: new Uint8Array(16).fill(number) })
  }
  const pinged = (peer: RawPeer) => eventually(() => peer.heard.includes('ping'))
  const peers: RawPeer[] = []
  for (const [number, alive] of [
    [1, true],
    [2, true],
    [1, answers],
    [2, true],
  ] as const) {
    peers.push(await live(number, alive))
    await pinged(peers.at(-1) as RawPeer)
  }
  const errors = () => victim.events.filter((event) => event.type === 'error').map(({ error }) => error.message)
  if (answers) {
    const text = `two running programs have the identity ${identity.peerId}`
    await eventually(() => victim.node.getPeer(identity.peerId)?.state === 'cooldown')
    expect(errors()).toEqual([text])
  } else {
    await eventually(() => victim.node.peerStats(identity.peerId)?.roundTrip !== undefined)
    expect(errors()).toEqual([])
  }
  for (const peer of peers) await peer[Symbol.asyncDispose]()
})

test('garbage instead of a handshake, and silence: nothing is remembered, others are served', async () => {
  const clock = new HandClock(12_345)
  const victim = new Node(
    {
      identity: Identity.generate(),
      listen: ['/ip4/127.0.0.1/tcp/0'],
      streams: ['x'],
      timeouts: { handshake: 12_345 },
    },
    clock.platform,
  )
  await victim.start()
  await using garbage = await new RawPeer().connect(victim)
  await using large = await new RawPeer().connect(victim)
  await using silent = await new RawPeer().connect(victim)
  const closed = (peer: RawPeer) => new Promise<void>((resolve) => peer.link.onClose(() => resolve()))
  garbage.stream.send([Uint8Array.of(64, ...new Uint8Array(64).fill(7))])
  large.stream.send([Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x7f)])
  await Promise.all([closed(garbage), closed(large)])
  await eventually(() => victim.listPeers().length === 1) // who says nothing is still waited for
  clock.fire()
  await closed(silent)
  await eventually(() => victim.listPeers().length === 0)
  await using honest = await makeNode({ streams: ['x'] })
  await honest.node.connect(victim.addrs)
  await victim.stop()
})

describe('who is dialed', () => {
  test('says nothing at all: CONNECT_TIMEOUT', async () => {
    const server = createServer(() => {}).listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    const { port } = server.address() as { port: number }
    await using made = await makeNode({ streams: ['x'], timeouts: { connect: 200 } })
    await using other = await makeNode({ streams: ['x'] })
    await expect(made.node.connect(`/ip4/127.0.0.1/tcp/${port}/p2p/${other.node.peerId}`)).rejects.toMatchObject({
      code: 'CONNECT_TIMEOUT',
      retryable: true,
    })
    server.close()
  })

  test('is a libp2p node that does not speak this protocol: VERSION_MISMATCH', async () => {
    const stranger = await createLibp2p({
      addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
      transports: [tcp()],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux()],
    })
    await using made = await makeNode({ streams: ['x'] })
    await expect(made.node.connect(stranger.getMultiaddrs().map(String))).rejects.toMatchObject({
      code: 'VERSION_MISMATCH',
      hint: expect.stringContaining('no Glueberry node'),
    })
    await stranger.stop()
  })

  test('speaks the protocol but never completes the handshake: HANDSHAKE_TIMEOUT', async () => {
    const mute = await createLibp2p({
      addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
      transports: [tcp()],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux()],
    })
    await mute.handle('/glueberry/session/2.0.0', () => {})
    await using made = await makeNode({ streams: ['x'], timeouts: { handshake: 200 } })
    await expect(made.node.connect(mute.getMultiaddrs().map(String))).rejects.toMatchObject({
      code: 'HANDSHAKE_TIMEOUT',
    })
    expect(made.node.getPeer(mute.peerId as never)?.state).toBe('disconnected')
    await mute.stop()
  })
})

test('a remote with an RSA identity is not let in', async () => {
  await using made = await makeNode({ streams: ['x'] })
  const rsa = await createLibp2p({
    privateKey: await generateKeyPair('RSA', 2048),
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
  })
  const outcome = await rsa
    .dial(multiaddr(made.node.addrs[0] as string))
    .then((connection) => connection.newStream('/glueberry/session/2.0.0'))
    .catch((error: Error) => error)
  expect(outcome).toBeInstanceOf(Error)
  expect(made.node.listPeers()).toEqual([])
  await rsa.stop()
})

test('half a session at the moment when a peer’s time is over does not keep what waits for it for ever', async () => {
  const hand = new HandClock(600_000) // timeouts.resume
  const node = new Node(
    { identity: Identity.generate(), streams: ['x'], listen: ['/ip4/127.0.0.1/tcp/0'] },
    hand.platform,
  )
  await node.start()
  const identity = Identity.generate()
  {
    await using peer = await new RawPeer(identity).establish(node)
    await eventually(() => node.getPeer(identity.peerId)?.state === 'established')
    peer.link.abort(new Error('gone'))
  }
  await eventually(() => node.getPeer(identity.peerId)?.state === 'disconnected')
  const waiting = node.send(identity.peerId, 'x', 'kept', { confirm: true }).catch((error: unknown) => error)
  {
    await using half = await new RawPeer(identity).connect(node)
    half.stream.send([Uint8Array.of(0x80)]) // the beginning of a length
    await eventually(() => hand.waiting === 1)
    const sessions = (): boolean => node.listPeers().some(({ peerId }) => peerId === identity.peerId)
    for (let turn = 0; turn < 200; turn++) await new Promise(setImmediate) // it has arrived
    expect(sessions()).toBe(true)
    hand.fire()
    expect(node.getPeer(identity.peerId)?.state).toBe('disconnected')
  }
  await eventually(() => hand.waiting === 1) // it begins anew
  hand.fire()
  expect(await waiting).toMatchObject({ code: 'UNDELIVERED' })
  await node.stop()
})
