import { connect, createServer, type Socket } from 'node:net'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { eventually, makeNode, RawPeer } from '@glueberry/testkit'
import { type MessageStream, type Stream, type StreamMuxer, serviceDependencies } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import fc from 'fast-check'
import { createLibp2p, type Libp2p } from 'libp2p'
import { describe, expect, test } from 'vitest'
import { Frames } from '../src/libp2p/changes/frames.ts'
import { Negotiation } from '../src/libp2p/changes/negotiation.ts'
import { SESSION_PROTOCOL } from '../src/transport/transport.ts'

// What a stranger, or a peer, can make libp2p do.

const said = (text: string): Buffer => {
  const length = text.length + 1
  return Buffer.from([
    ...(length < 0x80 ? [length] : [0x80 | (length & 0x7f), length >> 7]),
    ...Buffer.from(`${text}\n`, 'latin1'),
  ])
}
const header = said('/multistream/1.0.0')
/** What libp2p alone would read for as long as it comes, and what is said of it. */
const endless: [string, Buffer, string][] = [
  ['a length without end', Buffer.alloc(1000, 0xff), 'the length of a message has more than two bytes'],
  ['proposals without end', Buffer.concat(Array(7).fill(said('/unknown'))), '8 messages have agreed on nothing'],
]
/** Before libp2p's own time limits. */
const timeout = 10_000

/** The bytes in pieces. */
function parts(bytes: Buffer, cuts: number[]): Buffer[] {
  const at = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b)
  return [0, ...at].map((start, i) => bytes.subarray(start, at[i]))
}

/** A libp2p host of another implementation, as it were: it does not agree on the muxer with Noise. */
async function otherHost(muxers: string[] = []): Promise<Libp2p> {
  return await createLibp2p({
    transports: [tcp()],
    connectionEncrypters: [
      (components) => {
        const real = noise()(components)
        return {
          protocol: real.protocol,
          secureInbound: (it, options) => real.secureInbound(it, { ...options, skipStreamMuxerNegotiation: true }),
          secureOutbound: (it, options) => real.secureOutbound(it, { ...options, skipStreamMuxerNegotiation: true }),
        }
      },
    ],
    streamMuxers: [...muxers.map((protocol) => () => ({ ...yamux()(), protocol })), yamux()],
    connectionMonitor: { enabled: false },
  })
}

describe.each(endless)('%s', { timeout }, (_, bytes, why) => {
  test('ends the connection on which it is sent', async () => {
    await using victim = await makeNode({ streams: ['x'] })
    const [, port] = /tcp\/(\d+)/.exec(victim.node.addrs[0] as string) as unknown as [string, string]
    const socket = connect(Number(port), '127.0.0.1', () => socket.write(Buffer.concat([header, bytes])))
    socket.on('error', () => {})
    socket.resume()
    await new Promise((resolve) => socket.once('close', resolve))
    expect(victim.errors).toEqual([])
  })

  test('ends the connection when Noise has encrypted it', async () => {
    await using victim = await makeNode({ streams: ['x'] })
    let secured: MessageStream | undefined
    const host = await createLibp2p({
      transports: [tcp()],
      connectionEncrypters: [
        (components) => {
          const real = noise()(components)
          return {
            ...real,
            protocol: real.protocol,
            secureInbound: real.secureInbound.bind(real),
            secureOutbound: async (it, options) => {
              const done = await real.secureOutbound(it, { ...options, skipStreamMuxerNegotiation: true })
              secured = done.connection
              done.connection.send(Buffer.concat([header, bytes]))
              return done
            },
          }
        },
      ],
      streamMuxers: [yamux()],
    })
    await expect(host.dial(multiaddr(victim.node.addrs[0]))).rejects.toThrow()
    await eventually(() => secured?.status !== 'open')
    await host.stop()
  })

  test('ends the stream on which it is sent, and nothing else', async () => {
    await using victim = await makeNode({ streams: ['x'] })
    const host = await otherHost()
    const connection = await host.dial(multiaddr(victim.node.addrs[0]))
    const { muxer } = connection as unknown as { muxer: { createStream(): Promise<Stream> } }
    const stream = await muxer.createStream()
    stream.send(Buffer.concat([header, bytes]))
    await eventually(() => stream.status === 'reset')
    await connection.newStream(SESSION_PROTOCOL)
    await host.stop()
  })

  test('is no answer to who dials', async () => {
    const sockets: Socket[] = []
    const server = createServer((socket) => {
      sockets.push(socket)
      socket.on('error', () => {})
      socket.write(Buffer.concat([header, bytes]))
    }).listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    const { port } = server.address() as { port: number }
    await using made = await makeNode({ streams: ['x'] })
    await using other = await makeNode({ streams: ['x'] })
    await expect(made.node.connect(`/ip4/127.0.0.1/tcp/${port}/p2p/${other.node.peerId}`)).rejects.toMatchObject({
      code: 'CONNECT_FAILED',
      message: expect.stringContaining(`multistream-select: ${why}`),
    })
    for (const socket of sockets) socket.destroy()
    server.close()
  })

  test('is no answer to who opens a stream', async () => {
    const host = await createLibp2p({
      addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
      transports: [tcp()],
      connectionEncrypters: [noise()],
      streamMuxers: [
        () => {
          const real = yamux()()
          return {
            protocol: real.protocol,
            createStreamMuxer(connection) {
              const muxer = real.createStreamMuxer(connection)
              muxer.addEventListener('stream', ({ detail }) => void detail.send(Buffer.concat([header, bytes])))
              muxer.addEventListener = () => {}
              return muxer
            },
          }
        },
      ],
    })
    await using made = await makeNode({ streams: ['x'] })
    await expect(made.node.connect(host.getMultiaddrs().map(String))).rejects.toMatchObject({
      code: 'VERSION_MISMATCH',
    })
    await host.stop()
  })
})

test('who proposes other muxers and protocols first is heard out', async () => {
  await using victim = await makeNode({ streams: ['x'] })
  const host = await otherHost(['/mplex/6.7.0', '/muxer/that/nobody/has'])
  const connection = await host.dial(multiaddr(victim.node.addrs[0]) as Multiaddr)
  expect(connection.multiplexer).toBe('/yamux/1.0.0')
  const stream = await connection.newStream(['/a/1', `/long/${'x'.repeat(1000)}`, SESSION_PROTOCOL])
  expect(stream.protocol).toBe(SESSION_PROTOCOL)
  await host.stop()
})

test('a negotiation may come in 64 pieces', () => {
  const negotiation = new Negotiation(() => false)
  const bytes = said('x'.repeat(100))
  for (let i = 0; i < 64; i++) negotiation.read(bytes.subarray(i, i + 1))
  expect(() => negotiation.read(bytes.subarray(64, 65))).toThrow('too many pieces')
})

test('what comes before a stream is handed over has a limit, also in pieces', () => {
  const begin = (): Negotiation => {
    const negotiation = new Negotiation((protocol) => protocol === '/agreed')
    negotiation.read(Buffer.concat([header, said('/agreed')]))
    return negotiation
  }
  const large = begin()
  for (let i = 0; i < 128; i++) large.read(Buffer.alloc(1024))
  expect(() => large.read(Buffer.of(1))).toThrow('more than is taken before')
  const tiny = begin()
  expect(() => {
    for (let i = 0; i < 100; i++) tiny.read(Buffer.of(1))
  }).toThrow('too many pieces')
})

test.each<[string, Buffer, string]>([
  ...endless,
  ['a message of no bytes', Buffer.of(0), 'a message of 0 bytes, 1 to 1024 are allowed'],
  ['a message of 1,025 bytes', Buffer.of(0x81, 0x08), 'a message of 1025 bytes, 1 to 1024 are allowed'],
])('a negotiation: %s', (_, bytes, why) => {
  const negotiation = new Negotiation(() => false)
  expect(() => negotiation.read(Buffer.concat([header, bytes]))).toThrow(why)
})

describe('a negotiation', () => {
  const text = fc.string({ unit: fc.constantFrom('/', 'a', 'g', 'r', ' '), maxLength: 1023 })
  const others = fc.array(fc.oneof(text, fc.constantFrom('/agreed ', ' /agreed', '/agreed\xa0', '/Agreed', '/agree')), {
    maxLength: 6,
  })
  const begin = (): Negotiation => new Negotiation((protocol) => protocol === '/agreed')

  test('is over with the protocol agreed on and with no other, in whatever pieces it comes', () => {
    fc.assert(
      fc.property(others, fc.array(fc.nat()), fc.uint8Array(), (others, cuts, data) => {
        const negotiation = begin()
        const before = parts(Buffer.concat([header, ...others.map(said)]), cuts)
        for (const part of before) negotiation.read(part)
        // What follows is the protocol's own.
        negotiation.read(Buffer.concat([said('/agreed'), data, Buffer.alloc(100, 0xff)]))
        const other = begin()
        for (const part of before) other.read(part)
        expect(() => other.read(Buffer.alloc(100, 0xff))).toThrow('more than two bytes')
      }),
    )
  })

  test('comes to the same in whatever pieces it comes, whatever the bytes are', () => {
    const outcome = (pieces: Iterable<Uint8Array>): unknown => {
      const negotiation = begin()
      try {
        for (const piece of pieces) negotiation.read(piece)
        negotiation.read(Buffer.alloc(2000, 0xff))
        return 'over'
      } catch (error) {
        return (error as Error).message
      }
    }
    const some = fc.oneof(fc.uint8Array(), fc.constantFrom<Uint8Array>(header, said('/agreed'), said('/unknown')))
    fc.assert(
      fc.property(fc.array(some), fc.array(fc.nat(), { maxLength: 60 }), (bytes, cuts) => {
        expect(outcome(parts(Buffer.concat(bytes), cuts))).toBe(outcome([Buffer.concat(bytes)]))
      }),
    )
  })
})

/** A frame of yamux (https://github.com/hashicorp/yamux/blob/master/spec.md). */
function frame(type: number, flags: number, stream: number, length: number, data = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(12)
  header.writeUInt8(type, 1)
  header.writeUInt16BE(flags, 2)
  header.writeUInt32BE(stream, 4)
  header.writeUInt32BE(length, 8)
  return Buffer.concat([header, data])
}
const [DATA, WINDOW_UPDATE, PING] = [0, 1, 2]
const [SYN, ACK, RST] = [1, 2, 8]

/** A connection on which nobody speaks but the test: what is sent is one message of Noise. */
async function bareConnection(
  address: string,
): Promise<AsyncDisposable & { readonly connection: MessageStream; readonly heard: Buffer[] }> {
  let connection: MessageStream | undefined
  const heard: Buffer[] = []
  const host = await createLibp2p({
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [
      () => ({
        protocol: '/yamux/1.0.0',
        createStreamMuxer(secured) {
          connection = secured
          secured.addEventListener('message', ({ data }) => heard.push(Buffer.from(data.subarray())))
          const nothing = { streams: [], status: 'open', abort() {}, async close() {} }
          return Object.assign(new EventTarget(), nothing) as unknown as StreamMuxer
        },
      }),
    ],
  })
  await host.dial(multiaddr(address))
  return {
    connection: connection as unknown as MessageStream,
    heard,
    [Symbol.asyncDispose]: () => Promise.resolve(host.stop()),
  }
}

describe.each<[string, (number: number) => Buffer]>([
  ['pings', (number) => frame(PING, SYN, 0, number)],
  ['streams', (number) => frame(WINDOW_UPDATE, SYN, 2 * number + 1, 0)],
  ['streams opened with data', (number) => frame(DATA, SYN, 2 * number + 1, 1, Buffer.of(1))],
  [
    'streams that are reset at once',
    (number) => Buffer.concat([frame(WINDOW_UPDATE, SYN, 2 * number + 1, 0), frame(DATA, RST, 2 * number + 1, 0)]),
  ],
])('%s of yamux', { timeout }, (_, request) => {
  test('may come a hundred at once; without end they end the connection, and nothing else', async () => {
    await using victim = await makeNode({ streams: ['x'] })
    await using honest = await makeNode({ streams: ['x'] })
    const id = await honest.node.connect(victim.node.addrs)
    await using bare = await bareConnection(victim.node.addrs[0] as string)
    const { connection, heard } = bare
    connection.send(Buffer.concat(Array.from({ length: 100 }, (_, number) => request(number))))
    connection.send(frame(PING, SYN, 0, 4711))
    const answer = frame(PING, ACK, 0, 4711)
    await eventually(() => heard.some((data) => data.includes(answer)))
    expect(connection.status).toBe('open')
    connection.send(Buffer.concat(Array.from({ length: 2000 }, (_, number) => request(200 + number))))
    await eventually(() => connection.status !== 'open')
    await honest.node.send(id, 'x', 'still here')
    await eventually(() => victim.node.peerStats(honest.node.peerId)?.messagesReceived === 1)
    expect(honest.events.filter(({ type }) => type === 'disconnected')).toEqual([])
  })
})

describe('a connection is ended by', { timeout }, () => {
  test.each<[string, (connection: MessageStream) => Promise<void> | void]>([
    [
      'frames of yamux without data, without end',
      (connection) => {
        const many = Buffer.concat(Array(5000).fill(frame(WINDOW_UPDATE, 0, 99, 1)))
        for (let i = 0; i < 40; i++) connection.send(many)
      },
    ],
    ['a frame of yamux above every window', (connection) => connection.send(frame(DATA, 0, 99, 5_000_000))],
    [
      'tiny frames of Noise without end',
      async (connection) => {
        // Each byte is a frame of its own, also where the data of yamux is not tiny.
        const data = frame(DATA, 0, 99, 20, Buffer.alloc(20))
        for (let i = 0; i < 5000 && connection.status === 'open'; i++) {
          for (const byte of data) if (connection.status === 'open') connection.send(Buffer.of(byte))
          await new Promise((resolve) => setImmediate(resolve))
        }
      },
    ],
    [
      'a frame of yamux in too many pieces',
      (connection) => {
        connection.send(frame(DATA, 0, 99, 50_000))
        for (let i = 0; i < 100; i++) connection.send(Buffer.of(1))
      },
    ],
  ])('%s', async (_, attack) => {
    await using victim = await makeNode({ streams: ['x'] })
    await using bare = await bareConnection(victim.node.addrs[0] as string)
    await attack(bare.connection)
    await eventually(() => bare.connection.status !== 'open')
  })

  test.each<[string, (socket: Socket) => Promise<void> | void]>([
    ['an empty frame of Noise', (socket) => void socket.write(Buffer.of(0, 0))],
    ['a frame of Noise with nothing but a tag', (socket) => void socket.write(Buffer.of(0, 16))],
    [
      'a frame of Noise in too many pieces',
      async (socket) => {
        socket.write(Buffer.of(0xff, 0xff))
        // Each in a segment of its own, as far as the system sends it before the next is written.
        while (!socket.destroyed) {
          socket.write(Buffer.of(1))
          await new Promise((resolve) => setImmediate(resolve))
        }
      },
    ],
  ])('%s', async (_, attack) => {
    await using victim = await makeNode({ streams: ['x'] })
    const [, port] = /tcp\/(\d+)/.exec(victim.node.addrs[0] as string) as unknown as [string, string]
    const socket = connect({ port: Number(port), host: '127.0.0.1', noDelay: true })
    const closed = new Promise((resolve) => socket.once('close', resolve))
    socket.on('error', () => {})
    socket.write(Buffer.concat([header, said('/noise')]))
    await new Promise((resolve) => socket.once('data', resolve))
    socket.resume()
    await attack(socket)
    await closed
  })
})

test('frames are read the same in whatever pieces they come', () => {
  const some = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 20 })
  fc.assert(
    fc.property(some, fc.array(fc.nat(), { maxLength: 10 }), (bodies, cuts) => {
      const lengths: number[] = []
      let held = 0
      const frames = new Frames({
        layer: 'test',
        hold: (more) => {
          held += more
          expect(held).toBeGreaterThanOrEqual(0)
          expect(held).toBeLessThan(302)
        },
        headerLength: 2,
        begin(header) {
          const length = new DataView(header.buffer).getUint16(0)
          lengths.push(length)
          return length
        },
        bytesPerPiece: 100,
      })
      const bytes = bodies.map((body) => Buffer.concat([Buffer.of(body.length >> 8, body.length & 0xff), body]))
      for (const part of parts(Buffer.concat(bytes), cuts)) frames.read(part)
      expect(lengths).toEqual(bodies.map(({ length }) => length))
      expect(held).toBe(0)
    }),
  )
})

test('a frame may come in 16 pieces, and one more for each so many of its bytes', () => {
  const begin = (): Frames =>
    new Frames({ layer: 'test', hold: () => {}, headerLength: 1, begin: () => 1000, bytesPerPiece: 100 })
  const frames = begin()
  for (let round = 0; round < 3; round++) {
    frames.read(Buffer.of(0))
    for (let i = 0; i < 25; i++) frames.read(Buffer.of(1))
    frames.read(Buffer.alloc(975))
  }
  const dripping = begin()
  dripping.read(Buffer.of(0))
  for (let i = 0; i < 25; i++) dripping.read(Buffer.of(1))
  expect(() => dripping.read(Buffer.of(1))).toThrow('test: a frame in too many pieces')
})

test('a service may ask for what libp2p’s own modules say that they offer', async () => {
  const service = (): object => ({
    [serviceDependencies]: ['@libp2p/connection-encryption', '@libp2p/stream-multiplexing'],
  })
  await using made = await makeNode({ streams: ['x'], libp2p: { services: { asks: service } } })
  expect(made.node.status).toBe('running')
})

test('a connection that breaks in the turn in which a stream is opened throws nowhere', async () => {
  await using victim = await makeNode({ streams: ['x'] })
  await using raw = await new RawPeer().connect(victim.node)
  const opened = raw.link.openStream(SESSION_PROTOCOL, new AbortController().signal)
  raw.link.abort(new Error('cut'))
  await expect(opened).rejects.toMatchObject({ code: 'CONNECT_FAILED' })
})
