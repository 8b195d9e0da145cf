import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import type { Connection, Stream } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { Changes } from '../../../node/src/libp2p/changes/changes.ts'
import { noiseCrypto } from '../../../node/src/libp2p/changes/noise-crypto.ts'
import { silentLogger } from '../../../node/src/observe/logger.ts'
import type { Contender, Endpoint, EndpointOptions, Link } from '../contender.ts'
import { MessageCutter } from '../message-cutter.ts'

type Encrypter = ReturnType<typeof noise>

const PROTOCOL = '/bench/1.0.0'

async function open({ size, names, duplex, receive }: EndpointOptions, encrypter: Encrypter): Promise<Endpoint> {
  const node = await createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [encrypter],
    streamMuxers: [yamux()],
    // As many parallel dials from one host as a run makes; nothing else differs from the defaults.
    connectionManager: { inboundConnectionThreshold: 4096, maxIncomingPendingConnections: 4096, maxConnections: 4096 },
  })
  const read = (stream: Stream, from: Link): void => {
    const cutter = new MessageCutter(size, (message) => receive(message, from))
    // Its own iterators buffer without a limit or abort at 4 MiB: a listener is what keeps up.
    stream.addEventListener('message', ({ data }) => {
      if (data instanceof Uint8Array) cutter.push(data)
      else for (const chunk of data) cutter.push(chunk)
    })
  }
  await node.handle(PROTOCOL, (stream) => {
    read(stream, { send: (data) => send(stream, data) })
  })
  const connect = async (address: string): Promise<Link> => {
    const connection: Connection = await node.dial(multiaddr(address))
    const streams: Stream[] = []
    const link: Link = { send: (data, name) => send(streams[name] as Stream, data) }
    for (let i = 0; i < names; i++) {
      const stream = await connection.newStream(PROTOCOL)
      if (duplex) read(stream, link)
      streams.push(stream)
    }
    return link
  }
  return { address: String(node.getMultiaddrs()[0]), connect, close: async () => void (await node.stop()) }
}

function send(stream: Stream, data: Uint8Array): Promise<void> | undefined {
  if (stream.send(data) || !stream.writableNeedsDrain) return undefined
  // Not `onDrain()`, whose promise is never renewed.
  return new Promise((resolve) => stream.addEventListener('drain', () => resolve(), { once: true }))
}

/** libp2p as it comes: one `stream.send` a message. */
export const withDefaults: Contender = { open: (options) => open(options, noise()) }

/** The same with the cipher that this library gives it: keys imported once, nothing copied that need not be. */
export const withKeyObjects: Contender = {
  open: (options) => open(options, noise({ crypto: noiseCrypto(new Changes(silentLogger)) })),
}
