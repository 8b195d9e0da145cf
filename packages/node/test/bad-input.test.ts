import { createServer } from 'node:net'
import { makeNode, pair } from '@glueberry/testkit'
import { describe, expect, test } from 'vitest'
import { GlueberryError, Identity, Node, type NodeOptions, parsePeerId } from '../src/index.ts'

const identity = Identity.generate()
const wrong = (options: unknown): GlueberryError => {
  try {
    new Node(options as NodeOptions<string>)
  } catch (error) {
    return error as GlueberryError
  }
  throw new Error('the options were accepted')
}

describe('options', () => {
  test('all bad ones are named in one error, with what was got and what is wanted', () => {
    const error = wrong({
      identity: 'me',
      streams: ['ok', 'a/b', 'ok'],
      listen: ['127.0.0.1:9000'],
      network: '',
      cipher: 'aes-128-gcm',
      handshake: true,
      flow: { window: -1, overflow: 'drop', sendbuffer: 1 },
      heartbeat: { interval: 5000, timeout: 4000 },
      timeouts: { connect: Number.NaN, drain: '5s' },
      limits: { messageSize: 2 ** 40 },
      logger: {},
      signal: {},
      strems: [],
    })
    expect(error).toMatchObject({ name: 'GlueberryError', code: 'INVALID_OPTION', retryable: false })
    const problems = error.message.split('; ')
    for (const expected of [
      /^strems is not an option$/,
      /^identity must be an Identity.*, got 'string'$/,
      /^flow\.window must be an integer from 1024 to \d+, got -1$/,
      /^flow\.sendbuffer is not an option$/,
      /^flow\.overflow must be 'wait' or 'error', got 'drop'$/,
      /^heartbeat\.timeout must be more than heartbeat\.interval \(5000\), got 4000$/,
      /^timeouts\.connect must be an integer .* got NaN$/,
      /^timeouts\.drain must be an integer .* got '5s'$/,
      /^limits\.messageSize must be an integer .* got 1099511627776$/,
      /^streams must be names of 1 to 64 characters .* got 'a\/b'$/,
      /^streams must be names that are all different/,
      /^listen must be multiaddrs .* got '127\.0\.0\.1:9000'$/,
      /^network must be a text of 1 to 64 characters, got ''$/,
      /^cipher must be 'chacha20-poly1305' or 'aes-256-gcm', got 'aes-128-gcm'$/,
      /^handshake must be a function, got true$/,
      /^signal must be an AbortSignal/,
      /^logger\.debug must be a function/,
    ]) {
      expect(
        problems.some((problem) => expected.test(problem)),
        `${expected} in\n${problems.join('\n')}`,
      ).toBe(true)
    }
  })

  test.each([
    ['a window that cannot hold a message', { flow: { window: 1024 } }, /flow\.window must hold one message/],
    [
      'budgets that cannot hold a message for each name',
      { limits: { messageSize: 64 * 2 ** 20 }, flow: { window: 2 ** 27 }, streams: ['a', 'b'] },
      /flow\.peerBudget must hold/,
    ],
    ['a node’s budget below a peer’s', { flow: { nodeBudget: 2 ** 20 } }, /flow\.nodeBudget must be at least/],
    ['no streams', { streams: undefined }, /streams must be a list of names, got undefined/],
    [
      '65 streams',
      { streams: Array.from({ length: 65 }, (_, i) => `n${i}`) },
      /at most limits\.streams \(64\) names, got 65/,
    ],
  ])('%s is refused', (_, options, message) => {
    expect(wrong({ identity, streams: ['x'], ...options }).message).toMatch(message)
  })

  test('nothing at all, and null, are refused with a word', () => {
    for (const options of [undefined, null, 1, []]) expect(wrong(options).message).toMatch(/^options must be an object/)
  })
})

describe('peers and addresses', () => {
  test.each([
    ['', /got ""/],
    ['12D3', /got "12D3"/],
    ['not base58 0OIl', /base58/],
    ['QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N', /RSA.*only Ed25519/],
    ['16Uiu2HAm9KuZvzPcp2qTSpmyVtSKqRaYjwVdbPnEdFNLZYUPL1Jv', /secp256k1/],
  ])('the peer id %j is refused', (text, message) => {
    expect(() => parsePeerId(text)).toThrow(
      expect.objectContaining({ code: 'INVALID_PEER_ID', message: expect.stringMatching(message) }),
    )
  })

  test.each([
    ['/ip4/127.0.0.1/tcp/1', 'INVALID_ADDRESS', /must end with \/p2p\//],
    ['/ip4/999.0.0.1/tcp/1/p2p/ID', 'INVALID_ADDRESS', /expected a multiaddr/],
    ['/nonsense/p2p/ID', 'INVALID_ADDRESS', /expected a multiaddr/],
    ['/ip4/127.0.0.1/tcp/1/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N', 'INVALID_PEER_ID', /RSA/],
    ['/ip4/127.0.0.1/udp/1/p2p/ID', 'CONNECT_FAILED', /cannot connect/],
    ['localhost:9000', 'INVALID_PEER_ID', /peer id/],
    [[], 'INVALID_ADDRESS', /empty list/],
    ['nowhere', 'INVALID_PEER_ID', /connect takes a multiaddr/],
    [['/ip4/127.0.0.1/tcp/1/p2p/ID', '/ip4/127.0.0.1/tcp/1/p2p/OTHER'], 'INVALID_ADDRESS', /of one peer/],
    [42, 'INVALID_PEER_ID', /peer id/],
  ])('connect(%j) is refused as %s', async (target, code, message) => {
    await using made = await makeNode({ streams: ['x'] })
    const other = Identity.generate().peerId
    const fill = (text: unknown) =>
      typeof text === 'string' ? text.replace('OTHER', other).replace('ID', identity.peerId) : text
    const filled = (Array.isArray(target) ? target.map(fill) : fill(target)) as string
    await expect(made.node.connect(filled)).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
  })

  test('an address to listen on that is taken is refused, and the node can be started again elsewhere', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    const { port } = server.address() as { port: number }
    const node = new Node({ identity: Identity.generate(), streams: ['x'], listen: [`/ip4/127.0.0.1/tcp/${port}`] })
    await expect(node.start()).rejects.toMatchObject({
      code: 'ADDRESS_IN_USE',
      message: expect.stringContaining(String(port)),
    })
    expect(node.status).toBe('idle')
    await new Promise((resolve) => server.close(resolve))
    await node.start()
    expect(node.status).toBe('running')
    await node.stop()
  })
})

describe('sending', () => {
  test('before start, after stop, to a stranger, on a bad name, too large, of the wrong type', async () => {
    const { peerId } = identity
    const idle = new Node<string>({ identity: Identity.generate(), streams: ['x'] })
    await expect(idle.send(peerId, 'x', 'hi')).rejects.toMatchObject({ code: 'NOT_RUNNING' })
    await expect(idle.connect(peerId)).rejects.toMatchObject({ code: 'NOT_RUNNING' })
    await idle.stop()

    await using made = await makeNode<string>({ streams: ['x'] })
    const { node } = made
    await expect(node.send(peerId, 'x', 'hi')).rejects.toMatchObject({ code: 'PEER_UNKNOWN', peerId })
    await expect(node.connect(peerId)).rejects.toMatchObject({ code: 'PEER_UNKNOWN' })
    await expect(node.send('x' as never, 'x', 'hi')).rejects.toMatchObject({ code: 'INVALID_PEER_ID' })
    expect(() => node.trySend(peerId, 'x', 'hi')).toThrow(expect.objectContaining({ code: 'PEER_UNKNOWN' }))
    await node.stop()
    await expect(node.send(peerId, 'x', 'hi')).rejects.toMatchObject({ code: 'STOPPED' })
    expect(() => node.trySend(peerId, 'x', 'hi')).toThrow(expect.objectContaining({ code: 'STOPPED' }))
    await expect(node.start()).rejects.toMatchObject({ code: 'STOPPED' })
  })

  test('on a connection', async () => {
    await using nodes = await pair<string>(['x'], { alice: { limits: { messageSize: 1000 } } })
    const { bob, aliceId } = nodes
    for (const name of ['', 'a/b', 'x'.repeat(65), 5 as never]) {
      await expect(bob.send(aliceId, name, 'hi'), name).rejects.toMatchObject({
        code: expect.stringMatching(/INVALID_STREAM/),
      })
    }
    await expect(bob.send(aliceId, 'other', 'hi')).rejects.toMatchObject({
      code: 'STREAM_NOT_ACCEPTED',
      stream: 'other',
    })
    await expect(bob.send(aliceId, 'x', new Uint8Array(1001))).rejects.toMatchObject({
      code: 'MESSAGE_TOO_LARGE',
      message: expect.stringContaining('1000'),
    })
    await bob.disconnect(aliceId)
    await expect(bob.send(aliceId, 'x', new Uint8Array(2 ** 20 + 1))).rejects.toMatchObject({
      code: 'MESSAGE_TOO_LARGE',
    })
    for (const data of [5, null, undefined, {}]) {
      await expect(bob.send(aliceId, 'x', data as never)).rejects.toMatchObject({
        code: 'INVALID_OPTION',
        message: expect.stringContaining('data must be'),
      })
    }
    const aborted = AbortSignal.abort(new Error('before it began'))
    await expect(bob.send(aliceId, 'x', 'hi', { signal: aborted })).rejects.toThrow('before it began')
    expect(() => bob.messages('never named')).toThrow(expect.objectContaining({ code: 'INVALID_STREAM' }))
    expect(() => bob.messages('unnamed')).toThrow(
      expect.objectContaining({ code: 'INVALID_STREAM', hint: expect.stringContaining('addStream') }),
    )
    expect(() => bob.addStream('a b')).toThrow(expect.objectContaining({ code: 'INVALID_STREAM' }))
    expect(() => bob.handle('x', 'not a function' as never)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION' }),
    )
    await expect(bob.blockPeer(aliceId, { duration: -1 })).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  })

  test('a name that the peer turns out not to accept: what was kept is undelivered', async () => {
    await using alice = await makeNode<string>({ streams: ['x'] })
    await using bob = await makeNode<string>({ streams: ['x'] })
    await bob.node.addPeer(alice.node.peerId, alice.node.addrs, { connect: false })
    await bob.node.send(alice.node.peerId, 'other', 'kept')
    const confirm = bob.node.send(alice.node.peerId, 'other', 'kept too', { confirm: true })
    const outcome = expect(confirm).rejects.toMatchObject({
      code: 'UNDELIVERED',
      cause: { code: 'STREAM_NOT_ACCEPTED' },
    })
    await bob.node.connect(alice.node.peerId)
    await outcome
    expect(bob.events.find((event) => event.type === 'undelivered')).toMatchObject({
      stream: 'other',
      from: 1,
      count: 2,
    })
  })
})

test('events that do not exist, and handlers that are none, are refused', async () => {
  await using made = await makeNode({ streams: ['x'] })
  const { node } = made
  for (const wrong of [
    () => node.on('conected' as never, () => {}),
    () => node.on('connected', undefined as never),
    () => node.subscribeEvents({ types: ['foo' as never] }),
  ]) {
    expect(wrong).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }))
  }
})

test('an error keeps its message as JSON', () => {
  const error = new GlueberryError('BUSY', 'full', { hint: 'later' })
  expect(JSON.parse(JSON.stringify(error))).toEqual({
    name: 'GlueberryError',
    code: 'BUSY',
    message: 'full',
    hint: 'later',
    retryable: true,
  })
})

test('GlueberryError.is tells ours from others, and one code from another', () => {
  const error = new GlueberryError('STOPPED', 'x')
  expect([
    GlueberryError.is(error),
    GlueberryError.is(error, 'STOPPED', 'DRAINING'),
    GlueberryError.is(error, 'BUSY'),
  ]).toEqual([true, true, false])
  expect(GlueberryError.is(new Error('STOPPED'), 'STOPPED')).toBe(false)
  expect(Object.keys(error)).not.toContain('hint')
})

test.each([
  [
    '/ip4/127.0.0.1/tcp/0/ws',
    /^cannot listen: \/ip4\/127\.0\.0\.1\/tcp\/0\/ws: No transport was configured to listen on this address$/,
  ],
  ['/ip4/192.0.2.1/tcp/0', /192\.0\.2\.1\/tcp\/0: this machine has no such address/],
])('a node that cannot listen on %s says why, for that address', async (address, message) => {
  const node = new Node({ identity: Identity.generate(), streams: ['x'], listen: [address] })
  await expect(node.start()).rejects.toMatchObject({ code: 'INVALID_ADDRESS', message: expect.stringMatching(message) })
})

test('a text far longer than any id is not decoded', () => {
  expect(() => parsePeerId('1'.repeat(10_000_000))).toThrow(/must be the base58 text/)
  expect(() => parsePeerId('2'.repeat(1_000_000))).toThrow(GlueberryError) // by the square of its length: minutes
})

test.each([
  ['handle(5)', (node: Node) => node.handle(5 as never, () => {})],
  ['handle(a symbol)', (node: Node) => node.handle(Symbol('x') as never, () => {})],
  ['addStream(a bigint)', (node: Node) => node.addStream(10n as never)],
  ['flush of no name', (node: Node) => node.flush(undefined, { stream: '' })],
  ['buffered of no name', (node: Node) => node.buffered(Identity.generate().peerId, ' ')],
])('%s is refused as INVALID_STREAM', async (_, call) => {
  const node = new Node<string>({ identity: Identity.generate(), streams: ['x'] })
  const code = await (async () => call(node))().then(
    () => 'accepted',
    (error) => error.code,
  )
  expect(code).toBe('INVALID_STREAM')
})

test('a list is no peer, and a proxy of bytes is no bytes', async () => {
  await using nodes = await pair(['x'])
  const { bob, aliceId } = nodes
  await expect(bob.send([aliceId] as never, 'x', 'hello')).rejects.toMatchObject({ code: 'INVALID_PEER_ID' })
  const data = new Proxy(new Uint8Array(1), {})
  await expect(bob.send(aliceId, 'x', data)).rejects.toMatchObject({ code: 'INVALID_OPTION' })
})

test('an address without end is shown by its beginning', async () => {
  const node = new Node({ identity: Identity.generate(), streams: ['x'] })
  const failed = await node.connect(`/ip4/${'9'.repeat(1_000_000)}`).catch((error) => error)
  expect(failed).toMatchObject({ code: 'INVALID_ADDRESS' })
  expect(failed.message.length).toBeLessThan(300)
})

test('what has no text is no peer', async () => {
  const node = new Node({ identity: Identity.generate(), streams: ['x'] })
  await expect(node.connect(Object.create(null))).rejects.toMatchObject({ code: 'INVALID_PEER_ID' })
})
