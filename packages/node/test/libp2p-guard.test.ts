import { connect, createServer, type Socket } from 'node:net'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { eventually, makeNode } from '@glueberry/testkit'
import type { MessageStream, Stream, StreamMuxer } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import fc from 'fast-check'
import { createLibp2p, type Libp2p } from 'libp2p'
import { describe, expect, test } from 'vitest'
import { Negotiation } from '../src/libp2p-negotiation.ts'
import { SESSION_PROTOCOL } from '../src/transport.ts'
import { YamuxRequests } from '../src/yamux-requests.ts'

// What a stranger, or a peer, can make libp2p do.

const said = (text: string): Buffer => {
  const length = text.length + 1
  return Buffer.from([
    ...(length < 0x80 ? [length] : [0x80 | (length & 0x7f), length >> 7]),
    ...Buffer.from(`${text}\n`),
  ])
}
const header = said('/multistream/1.0.0')
const endless: [string, Buffer, string][] = [
  ['a length without end', Buffer.alloc(1000, 0xff), 'the length of a message has more than two bytes'],
  ['a message of no bytes', Buffer.of(0), 'a message of 0 bytes, 1 to 1024 are allowed'],
  ['a message of 1,025 bytes', Buffer.of(0x81, 0x08), 'a message of 1025 bytes, 1 to 1024 are allowed'],
  ['proposals without end', Buffer.concat(Array(15).fill(said('/unknown'))), '16 messages have agreed on nothing'],
]

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

describe.each(endless)('%s', (_, bytes, why) => {
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
      cause: { message: expect.stringContaining(`multistream-select: ${why}`) },
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

describe('a negotiation', () => {
  const text = fc.string({ unit: fc.constantFrom('/', 'a', '1', ' '), minLength: 0, maxLength: 1023 })
  const refused = fc.array(
    text.filter((it) => it.trimEnd() !== '/agreed'),
    { maxLength: 14 },
  )
  test('is over with the protocol agreed on, in whatever pieces it comes', () => {
    fc.assert(
      fc.property(refused, fc.array(fc.nat()), fc.uint8Array(), (others, cuts, data) => {
        const negotiation = new Negotiation((protocol) => protocol === '/agreed')
        const before = Buffer.concat([header, ...others.map(said)])
        for (const part of parts(before, cuts)) expect(negotiation.over(part)).toBe(false)
        // What follows is the protocol's own.
        expect(negotiation.over(Buffer.concat([said('/agreed'), data]))).toBe(true)
      }),
    )
  })

  test('comes to the same in one piece and byte by byte, whatever the bytes are', () => {
    const outcome = (pieces: Iterable<Uint8Array>): unknown => {
      const negotiation = new Negotiation((protocol) => protocol === '/agreed')
      try {
        for (const piece of pieces) if (negotiation.over(piece)) return 'over'
        return 'goes on'
      } catch (error) {
        return (error as Error).message
      }
    }
    const some = fc.oneof(fc.uint8Array(), fc.constantFrom<Uint8Array>(header, said('/agreed'), said('/unknown')))
    fc.assert(
      fc.property(fc.array(some), (pieces) => {
        const bytes = Buffer.concat(pieces)
        expect(outcome([bytes])).toBe(outcome(Array.from(bytes, (byte) => Uint8Array.of(byte))))
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
const [SYN, ACK, FIN, RST] = [1, 2, 4, 8]

describe.each<[string, (number: number) => Buffer]>([
  ['pings', (number) => frame(PING, SYN, 0, number)],
  ['streams', (number) => frame(WINDOW_UPDATE, SYN, 2 * number + 1, 0)],
  [
    'streams that are reset at once',
    (number) => Buffer.concat([frame(WINDOW_UPDATE, SYN, 2 * number + 1, 0), frame(DATA, RST, 2 * number + 1, 0)]),
  ],
])('%s of yamux without end', (_, request) => {
  test('end the connection, and nothing else', async () => {
    await using victim = await makeNode({ streams: ['x'] })
    await using honest = await makeNode({ streams: ['x'] })
    const id = await honest.node.connect(victim.node.addrs)
    let raw: MessageStream | undefined
    const host = await createLibp2p({
      transports: [tcp()],
      connectionEncrypters: [noise()],
      streamMuxers: [
        () => ({
          protocol: '/yamux/1.0.0',
          createStreamMuxer(connection) {
            raw = connection
            connection.addEventListener('message', () => {})
            const nothing = { streams: [], status: 'open', abort() {}, async close() {} }
            return Object.assign(new EventTarget(), nothing) as unknown as StreamMuxer
          },
        }),
      ],
    })
    await host.dial(multiaddr(victim.node.addrs[0]))
    const connection = raw as unknown as MessageStream
    connection.send(Buffer.concat(Array.from({ length: 200 }, (_, number) => request(number))))
    connection.send(Buffer.concat(Array.from({ length: 2000 }, (_, number) => request(200 + number))))
    await eventually(() => connection.status !== 'open')
    await honest.node.send(id, 'x', 'still here')
    await eventually(() => victim.node.peerStats(honest.node.peerId)?.messagesReceived === 1)
    expect(honest.events.filter(({ type }) => type === 'disconnected')).toEqual([])
    await host.stop()
  })
})

test('requests of yamux are counted, in whatever pieces they come', () => {
  const control = fc.record({
    type: fc.constantFrom(WINDOW_UPDATE, PING, 3),
    flags: fc.constantFrom(0, SYN, ACK, FIN, RST, SYN | FIN),
    length: fc.nat(),
  })
  const data = fc.record({ flags: fc.constantFrom(0, SYN, FIN), data: fc.uint8Array() })
  fc.assert(
    fc.property(fc.array(fc.oneof(control, data)), fc.array(fc.nat()), (frames, cuts) => {
      const bytes = frames.map((it) =>
        'type' in it
          ? frame(it.type, it.flags, 1, it.length)
          : frame(DATA, it.flags, 1, it.data.length, Buffer.from(it.data)),
      )
      const requests = new YamuxRequests()
      const counted = parts(Buffer.concat(bytes), cuts).reduce((sum, part) => sum + requests.count(part), 0)
      const asks = frames.filter((it) => ('type' in it && it.type === PING) || (it.flags & SYN) !== 0)
      expect(counted).toBe(asks.length)
    }),
  )
})
