import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { eventually, fill, type MadeNode, makeNode, pair } from '@glueberry/testkit'
import { describe, expect, test } from 'vitest'
import { type HandshakePeer, Identity, Node, type Verdict } from '../src/index.ts'
import { HandClock } from './support/hand-clock.ts'

describe('names that come and go', () => {
  test('a name that is accepted no longer: its sender is told of everything that was not consumed, and may use it again later', async () => {
    await using nodes = await pair<string>(['x', 'y'])
    const { alice, bob, aliceId, bobMade } = nodes
    await using inbox = alice.messages('x')
    await bob.send(aliceId, 'x', 'taken')
    await inbox.next()
    await eventually(() => bob.buffered(aliceId).messages === 0)
    await bob.send(aliceId, 'x', 'not taken')
    await bob.send(aliceId, 'y', 'another name')
    await eventually(() => alice.peerStats(bob.peerId)?.messagesReceived === 3)
    expect(() => alice.removeStream('x')).toThrow(expect.objectContaining({ code: 'STREAM_TAKEN' }))
    await inbox.close()
    alice.removeStream('x')
    alice.removeStream('x')
    await eventually(() => bobMade.events.some(({ type }) => type === 'undelivered'))
    expect(bobMade.events.find(({ type }) => type === 'undelivered')).toMatchObject({ stream: 'x', from: 2, count: 1 })
    await expect(bob.send(aliceId, 'x', 'later')).rejects.toMatchObject({ code: 'STREAM_NOT_ACCEPTED' })
    expect(alice.health().held).toBe('another name'.length + 256)
    expect(() => alice.messages('x')).toThrow(expect.objectContaining({ code: 'INVALID_STREAM' }))

    alice.addStream('x') // the session begins anew, so that it can be used in it
    await using again = alice.messages('x')
    await eventually(() => bobMade.events.some(({ type }) => type === 'reconnected'))
    const confirmed = bob.send(aliceId, 'x', 'again', { confirm: true })
    expect((await again.next()).value).toMatchObject({ sequence: 3, redelivered: false })
    expect(await confirmed).toBe(3)
    await using rest = alice.messages('y')
    expect((await rest.next()).value?.text()).toBe('another name')
  })

  test('messages that were on their way to it are thrown away, and break nothing', async () => {
    await using nodes = await pair<string>(['x', 'y'])
    const { alice, bob, aliceId, bobMade } = nodes
    const sends = Array.from({ length: 500 }, (_, i) => bob.send(aliceId, 'x', String(i)).catch(() => undefined))
    alice.removeStream('x')
    await Promise.all(sends)
    await eventually(() => bobMade.events.some(({ type }) => type === 'undelivered'))
    alice.handle('y', () => {})
    await bob.send(aliceId, 'y', 'still here', { confirm: true })
    expect(bobMade.events.some(({ type }) => type === 'disconnected')).toBe(false)
    await eventually(() => alice.health().held === 0)
  })

  test('a name that is added has a type', async () => {
    await using made = await makeNode({ streams: ['x'] })
    const wider = made.node.addStream('y')
    expect(wider).toBe(made.node)
    await using both = wider.messages(['x', 'y'])
    expect(both).toBeDefined()
  })
})

test('addresses that are removed are not dialed, and are not in the book any more', async () => {
  await using alice = await makeNode({ streams: ['x'] })
  const [address = ''] = alice.node.addrs
  let book: unknown
  const store = {
    load: async () => book,
    save: async (given: unknown) => {
      book = given
    },
  }
  await using bob = await makeNode({ streams: ['x'], addressBook: store })
  await bob.node.addPeer(alice.node.peerId, [address, '/ip4/127.0.0.1/tcp/1'], { connect: false })
  await bob.node.removeAddress(alice.node.peerId, '/ip4/127.0.0.1/tcp/1')
  const left = [address.replace(/\/p2p\/.*/, '')]
  expect(bob.node.getPeer(alice.node.peerId)?.addresses).toEqual(left)
  expect(book).toMatchObject({ peers: { [alice.node.peerId]: { addresses: left } } })
  await bob.node.removeAddress(alice.node.peerId, alice.node.addrs)
  await expect(bob.node.connect(alice.node.peerId)).rejects.toMatchObject({ code: 'PEER_UNKNOWN' })
  await bob.node.removeAddress(Identity.generate().peerId, address.replace(/\/p2p\/.*/, ''))
})

test('the addresses of a call of connect that failed are forgotten; of one that worked they stay', async () => {
  await using alice = await makeNode({ streams: ['x'] })
  await using bob = await makeNode({ streams: ['x'] })
  const { peerId } = alice.node
  await bob.node.addPeer(peerId, [], { connect: false })
  const dead = `/ip4/127.0.0.1/tcp/1/p2p/${peerId}`
  const both = [bob.node.connect([dead]), bob.node.connect([dead])]
  for (const attempt of both) await expect(attempt).rejects.toMatchObject({ code: 'CONNECT_FAILED' })
  expect(bob.node.getPeer(peerId)?.addresses).toEqual([])
  await bob.node.connect([dead, ...alice.node.addrs])
  expect(bob.node.getPeer(peerId)?.addresses).toHaveLength(2)
  const many = Array.from({ length: 5000 }, (_, i) => `/ip4/10.0.0.1/tcp/${i + 1}/p2p/${peerId}`)
  await expect(bob.node.connect(many)).rejects.toMatchObject({
    code: 'INVALID_ADDRESS',
    message: expect.stringContaining('at most 32 multiaddrs, got 5000'),
  })
})

describe('writable', () => {
  const small = { limits: { messageSize: 1000 }, flow: { window: 4000, peerBudget: 4000, nodeBudget: 4000 } }

  test('resolves when trySend would work, also behind sends that wait, and not before', async () => {
    await using nodes = await pair(['x'], { alice: small })
    const { alice, bob, aliceId } = nodes
    await bob.writable(aliceId, 'x')
    await fill(() => bob.trySend(aliceId, 'x', new Uint8Array(900)))
    const waiting = bob.send(aliceId, 'x', new Uint8Array(900))
    let writable = false
    const wait = bob.writable(aliceId, 'x').then(() => {
      writable = true
      return bob.trySend(aliceId, 'x', 'now')
    })
    const aborted = new AbortController()
    const given = bob.writable(aliceId, 'x', { signal: aborted.signal })
    aborted.abort(new Error('enough'))
    await expect(given).rejects.toThrow('enough')
    for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve))
    expect(writable).toBe(false)
    alice.handle('x', () => {})
    await waiting
    expect(await wait).toBe(true)
    await expect(bob.writable(aliceId, 'nope' as 'x')).rejects.toMatchObject({ code: 'STREAM_NOT_ACCEPTED' })
  })

  test('a sender that waits for room that others share goes on when these are consumed, of another peer too', async () => {
    const flow = { peerBudget: 1024 * 1024, nodeBudget: 1024 * 1024, window: 1024 * 1024 }
    const limits = { messageSize: 100_000 }
    await using bob = await makeNode({ streams: ['a', 'b'], flow, limits })
    await using one = await makeNode({ streams: ['a', 'b'] })
    await using two = await makeNode({ streams: ['a', 'b'] })
    const [first, second] = [await bob.node.connect(one.node.addrs), await bob.node.connect(two.node.addrs)]
    const data = new Uint8Array(100_000)
    await bob.node.send(first, 'a', data) // each has something kept, so that its own share is spent
    await bob.node.send(second, 'b', data)
    const filling = Array.from({ length: 12 }, () => bob.node.send(first, 'b', data)) // asks for credit for all of them
    await fill(() => false)
    const waits = [bob.node.send(first, 'a', data), bob.node.send(second, 'b', data)]
    let done = 0
    for (const wait of waits) void wait.then(() => done++)
    for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve))
    expect(done).toBe(0)
    one.node.handle('b', () => {}) // only what holds the room is consumed
    await Promise.all([...filling, ...waits])
  })
})

describe('every call says what is wrong with its options', () => {
  test.each([
    [
      'drain',
      (node: Node) => node.drain({ timeout: 'x' as never }),
      /timeout must be a number of milliseconds .* got 'x'/,
    ],
    ['drain', (node: Node) => node.drain({ signal: 5 as never }), /signal must be an AbortSignal, got 5/],
    [
      'send',
      (node: Node) => node.send(node.peerId, 'x', 'y', { confirm: 1 as never }),
      /confirm must be true or false, got 1/,
    ],
    [
      'send',
      (node: Node) => node.send(node.peerId, 'x', 'y', { confirmed: true } as never),
      /confirmed is not an option of send/,
    ],
    ['flush', (node: Node) => node.flush(node.peerId, { stream: 5 as never }), /stream must be a text, got 5/],
    [
      'connect',
      (node: Node) => node.connect(node.peerId, null as never),
      /the options of connect must be an object, got null/,
    ],
    [
      'addPeer',
      (node: Node) => node.addPeer(node.peerId, [], { connect: 'no' as never }),
      /connect must be true or false, got 'no'/,
    ],
    [
      'blockPeer',
      (node: Node) => node.blockPeer(node.peerId, { duration: -1 }),
      /duration must be a number .* above 0, got -1/,
    ],
    [
      'handle',
      async (node: Node) => node.handle('x', () => {}, { retries: -1 }),
      /retries must be an integer of at least 0, got -1/,
    ],
    [
      'handle',
      async (node: Node) => node.handle('x', () => {}, { retryDelay: '1' as never }),
      /retryDelay must be .* got '1'/,
    ],
    [
      'on',
      async (node: Node) => node.on('*', () => {}, { signal: {} as never }),
      /signal must be an AbortSignal, got {}/,
    ],
    [
      'subscribeEvents',
      async (node: Node) => node.subscribeEvents({ peers: 'x' as never }),
      /peers must be a list, got 'x'/,
    ],
  ])('%s', async (_, call, text) => {
    const node = new Node({ identity: Identity.generate(), streams: ['x'] })
    await expect(call(node as Node)).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringMatching(text),
    })
  })
})

test('a node that has as many connections as it takes says BUSY', async () => {
  await using alice = await makeNode({ streams: ['x'], limits: { connections: 2 } })
  await using others = await makeNode({ streams: ['x'] })
  await using more = await makeNode({ streams: ['x'] })
  await using one = await makeNode({ streams: ['x'] })
  await others.node.connect(alice.node.addrs)
  await more.node.connect(alice.node.addrs)
  await expect(one.node.connect(alice.node.addrs)).rejects.toMatchObject({ code: 'BUSY', retryable: true })
  await more.node.stop()
  await eventually(() => alice.node.health().peers.established === 1)
  await one.node.connect(alice.node.addrs)
})

test('both phases of draining are told', async () => {
  await using nodes = await pair(['x'])
  await nodes.alice.drain()
  const told = nodes.aliceMade.events.filter((event) => event.type === 'status')
  expect(told.map(({ status, phase }) => `${status} ${phase ?? ''}`.trim())).toEqual([
    'starting',
    'running',
    'draining receiving',
    'draining sending',
    'stopping',
    'stopped',
  ])
})

describe('stop', () => {
  test('closes every part, whatever becomes of the others, and tells of all failures together', async () => {
    const broken = (): object => ({
      start() {},
      stop() {
        throw new Error('the service is stuck')
      },
    })
    const saved: unknown[] = []
    const store = { load: async () => undefined, save: async (book: unknown) => void saved.push(book) }
    await using made = await makeNode({
      streams: ['x'],
      addressBook: store,
      libp2p: { services: { broken } },
      logger: false,
    })
    const statuses: string[] = []
    made.node.on('status', ({ status }) => void statuses.push(status))
    await made.node.stop()
    await eventually(() => statuses.at(-1) === 'stopped')
    expect(made.errors).toMatchObject([
      { code: 'CLOSE_FAILED', message: expect.stringContaining('the service is stuck') },
    ])
  })
})

test('a service that never stops does not keep the node from stopping', async () => {
  const hand = new HandClock(10_000) // what each part has
  const stuck = (): object => ({ start() {}, stop: () => new Promise(() => {}) })
  const node = new Node(
    { identity: Identity.generate(), streams: ['x'], libp2p: { services: { stuck } }, logger: false },
    hand.platform,
  )
  const errors: string[] = []
  node.on('error', ({ error }) => void errors.push(`${error.code} ${error.message}`))
  await node.start()
  let stopped = false
  const stopping = node.stop().then(() => {
    stopped = true
  })
  while (!stopped) {
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve)) // whatever ends by itself has ended
    hand.fire()
  }
  await stopping
  expect(node.status).toBe('stopped')
  expect(errors).toEqual([
    'CLOSE_FAILED the node could not close everything: the network took longer than 10000 ms to close',
  ])
})

test('an address that failed often enough is not dialed until it is given again; jitter may be a number', async () => {
  await using made = await makeNode({
    streams: ['x'],
    reconnect: { baseDelay: 1, jitter: 0.5, attemptsPerAddress: 2, maxAttempts: 10 },
  })
  const { peerId } = Identity.generate()
  await made.node.addPeer(peerId, ['/ip4/127.0.0.1/tcp/1'])
  await eventually(() => made.events.some(({ type }) => type === 'closed'))
  expect(made.events.filter(({ type }) => type === 'reconnecting').length).toBeLessThan(4)
  for (const wrong of [{ jitter: 2 }, { attemptsPerAddress: 0 }, { attemptsPerAddress: 1.5 }]) {
    expect(() => new Node({ identity: Identity.generate(), streams: ['x'], reconnect: wrong })).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION' }),
    )
  }
})

describe('found by a review', () => {
  test('a name that is removed and added while a peer is away: its messages are neither lost nor confirmed for nothing', async () => {
    await using nodes = await pair<string>(['x', 'y'])
    const { alice, bob, aliceId } = nodes
    const confirms = ['1', '2', '3'].map((text) => bob.send(aliceId, 'x', text, { confirm: true }))
    await eventually(() => alice.peerStats(bob.peerId)?.messagesReceived === 3)
    await bob.disconnect(aliceId)
    await eventually(() => alice.getPeer(bob.peerId)?.state === 'disconnected')
    alice.removeStream('x')
    alice.addStream('x')
    await bob.connect(alice.addrs)
    await using inbox = alice.messages('x')
    const got: string[] = []
    for (let i = 0; i < 3; i++) {
      const { value } = await inbox.next()
      got.push(`${value?.text()} ${value?.redelivered}`)
    }
    expect(got).toEqual(['1 true', '2 true', '3 true'])
    expect(await Promise.all(confirms)).toEqual([1, 2, 3])
  })

  test('a peer comes back after more names than one READY can name', async () => {
    await using nodes = await pair<string>(['y'])
    const { alice, bob, aliceId } = nodes
    for (let i = 0; i < 70; i++) {
      alice.addStream(`n${i}`)
      const inbox = alice.messages(`n${i}`)
      const sent = async (): Promise<unknown> => bob.send(aliceId, `n${i}`, 'hello').catch(() => undefined)
      while ((await sent()) === undefined) await new Promise((resolve) => setImmediate(resolve))
      await inbox.next()
      await inbox.close()
      alice.removeStream(`n${i}`)
    }
    await bob.disconnect(aliceId)
    await bob.connect(alice.addrs)
    alice.handle('y', () => {})
    await bob.send(aliceId, 'y', 'still here', { confirm: true })
  })

  test('a name that was used in an earlier session is accepted anew in a later one', async () => {
    await using nodes = await pair<string>(['x', 'y'])
    const { alice, bob, aliceId, bobMade } = nodes
    const first = alice.handle('x', () => {})
    await bob.send(aliceId, 'x', 'used', { confirm: true })
    await first.close()
    await bob.disconnect(aliceId)
    await eventually(() => alice.getPeer(bob.peerId)?.state === 'disconnected')
    alice.removeStream('x')
    await bob.connect(alice.addrs)
    alice.addStream('x')
    alice.handle(['x', 'y'], () => {})
    await bob.send(aliceId, 'y', 'one way behind the news', { confirm: true })
    expect(await bob.send(aliceId, 'x', 'again', { confirm: true })).toBe(2)
    expect(bobMade.events.filter(({ type }) => type === 'disconnected')).toHaveLength(1)
  })

  test('writable settles when the node stops, also where there is still no room', async () => {
    const node = new Node<string>({ identity: Identity.generate(), streams: ['a'], flow: { sendBuffer: 1000 } })
    await node.start()
    const { peerId } = Identity.generate()
    await node.addPeer(peerId, [], { connect: false })
    node.trySend(peerId, 'a', 'x')
    node.trySend(peerId, 'b', new Uint8Array(2000))
    const writable = node.writable(peerId, 'a')
    await node.stop()
    await writable
  })

  test('close of a handle settles when the node stops between two calls of its handler, and the message stays unconsumed', async () => {
    await using nodes = await pair(['x'])
    const { alice, bob, aliceId } = nodes
    let calls = 0
    const handle = alice.handle(
      'x',
      () => {
        calls++
        throw new Error('no')
      },
      { retries: 3, retryDelay: 600_000 },
    )
    await bob.send(aliceId, 'x', 'hello')
    await eventually(() => calls === 1)
    const stopping = alice.stop()
    await handle.close()
    await stopping
    expect(bob.buffered(aliceId).messages).toBe(1)
  })

  test('stop gives one promise also to those that ask while it begins', async () => {
    await using made = await makeNode({ streams: ['x'] })
    const { node } = made
    const promises: Promise<void>[] = []
    node.handle('x', () => {})
    node.on('status', () => void promises.push(node.stop()))
    promises.push(node.stop())
    await Promise.all(promises)
    expect(new Set(promises).size).toBe(1)
  })

  test('a peer of the book whose last address is removed is waited for, not given up', async () => {
    await using made = await makeNode({ streams: ['x'], reconnect: { baseDelay: 1 } })
    const { node } = made
    const { peerId } = Identity.generate()
    await node.addPeer(peerId, ['/ip4/127.0.0.1/tcp/1'])
    await eventually(() => made.events.filter(({ type }) => type === 'reconnecting').length > 1)
    await node.send(peerId, 'x', 'kept')
    while (node.getPeer(peerId)?.retry === undefined) await new Promise((resolve) => setImmediate(resolve))
    await node.removeAddress(peerId, '/ip4/127.0.0.1/tcp/1')
    await eventually(() => node.getPeer(peerId)?.state === 'disconnected')
    for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve))
    expect(made.events.some(({ type }) => type === 'undelivered' || type === 'closed')).toBe(false)
    expect(node.buffered(peerId).messages).toBe(1)
  })
})

describe('found by an attack', () => {
  test('the signal of a handshake does not abort when it has accepted; what its listeners call harms nobody', async () => {
    const aborted: string[] = []
    const handshake = async (peer: HandshakePeer): Promise<Verdict> => {
      peer.signal.addEventListener('abort', () => {
        aborted.push(peer.peerId)
        void alice.node.disconnect(peer.peerId)
      })
      return peer.accept()
    }
    await using alice: MadeNode<'x'> = await makeNode<'x'>({ streams: ['x'], handshake })
    await using bob = await makeNode({ streams: ['x'] })
    const id = await bob.node.connect(alice.node.addrs)
    alice.node.handle('x', () => {})
    await bob.node.send(id, 'x', 'hello', { confirm: true })
    expect(aborted).toEqual([])
    expect(alice.node.getPeer(bob.node.peerId)?.state).toBe('established')
  })

  test('a loop of trySend and writable sends a message that is larger than what is left, and lets others run', async () => {
    await using nodes = await pair(['x'])
    const { alice, bob, aliceId } = nodes
    alice.handle('x', () => {})
    bob.trySend(aliceId, 'x', 'a')
    let rounds = 0
    while (!bob.trySend(aliceId, 'x', new Uint8Array(1024 * 1024))) {
      expect(++rounds).toBeLessThan(100)
      await bob.writable(aliceId, 'x')
    }
    await bob.flush()
  })

  test.each(['stop', 'drain', 'close'] as const)(
    'a message whose handler is told to stop by %s is not consumed',
    async (how) => {
      await using nodes = await pair(['x'])
      const { alice, bob, aliceId, bobMade } = nodes
      let began = 0
      const wait = (_: unknown, signal: AbortSignal): Promise<void> =>
        new Promise((_, reject) => {
          began++
          signal.addEventListener('abort', () => reject(signal.reason))
        })
      const handle = alice.handle('x', wait)
      const confirmed = bob.send(aliceId, 'x', '1', { confirm: true }).catch((error: unknown) => error)
      await bob.send(aliceId, 'x', '2')
      await eventually(() => began === 1 && alice.peerStats(bob.peerId)?.messagesReceived === 2)
      if (how === 'close') {
        await handle.close()
        await using rest = alice.messages('x') // in its order, for another consumer
        expect([(await rest.next()).value?.text(), (await rest.next()).value?.text()]).toEqual(['1', '2'])
        expect(await confirmed).toBe(1)
        return
      }
      if (how === 'drain') await alice.drain({ timeout: 0 })
      else await alice.stop()
      expect(bob.buffered(aliceId).messages).toBe(2)
      await bob.stop()
      expect(await confirmed).toMatchObject({ code: 'UNDELIVERED' })
      expect(bobMade.events.find(({ type }) => type === 'undelivered')).toMatchObject({ from: 1, count: 2 })
    },
  )

  test('an address that comes while another one is silent has its own time', async () => {
    const silent = createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as AddressInfo
    await using alice = await makeNode({ streams: ['x'] })
    await using bob = await makeNode({ streams: ['x'], timeouts: { connect: 1000 } })
    const { peerId } = alice.node
    const first = bob.node.connect(`/ip4/127.0.0.1/tcp/${port}/p2p/${peerId}`)
    await eventually(() => bob.node.getPeer(peerId)?.state === 'connecting')
    await Promise.all([bob.node.connect(alice.node.addrs), first])
    silent.close()
  })

  test('removing the address that is being dialed is told as no address', async () => {
    const silent = createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as AddressInfo
    await using bob = await makeNode({ streams: ['x'], timeouts: { connect: 200 } })
    const { peerId } = Identity.generate()
    const address = `/ip4/127.0.0.1/tcp/${port}`
    const connecting = bob.node.connect(`${address}/p2p/${peerId}`)
    await bob.node.removeAddress(peerId, address)
    await expect(connecting).rejects.toMatchObject({ name: 'GlueberryError' })
    silent.close()
  })

  test('what is kept for a peer that is away counts what messages cost, empty ones too', async () => {
    const node = new Node({ identity: Identity.generate(), streams: ['x'], flow: { sendBuffer: 10_000 } })
    await node.start()
    const { peerId } = Identity.generate()
    await node.addPeer(peerId, [], { connect: false })
    let sent = 0
    while (node.trySend(peerId, 'x', '')) sent++
    expect(sent).toBe(40) // of 256 each
    await node.stop()
  })

  test('nothing is accepted for a peer that is being let go', async () => {
    let bob: Node<'x'> | undefined
    const outcomes: unknown[] = []
    const send = (): void => {
      if (bob?.status !== 'running' || !removing) return
      try {
        outcomes.push(bob.trySend(alice.node.peerId, 'x', 'too late'))
      } catch (error) {
        outcomes.push((error as { code: string }).code)
      }
    }
    let removing = false
    const logger = { debug: send, info: send, warn: send, error: send }
    await using alice = await makeNode<'x'>({ streams: ['x'] })
    await using made = await makeNode<'x'>({ streams: ['x'], logger })
    bob = made.node
    await bob.connect(alice.node.addrs)
    removing = true
    await bob.removePeer(alice.node.peerId)
    expect(new Set(outcomes)).toEqual(new Set(['PEER_UNKNOWN']))
    expect(bob.health().buffered).toBe(0)
  })
})
