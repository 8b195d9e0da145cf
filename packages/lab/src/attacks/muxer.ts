import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { MULTISTREAM } from '../beginnings.ts'
import type { Target } from '../target.ts'
import { within } from '../within.ts'
import { type Attack, between, mutated, type Random, randomBytes, truncated } from './attack.ts'

interface RawStream {
  send(bytes: Uint8Array): boolean
  addEventListener(type: 'close', listener: () => void): void
  readonly status: string
  abort(error: Error): void
}

/** What is taken for the beginning of something is waited for so long, in milliseconds: then the end comes from here. */
const PATIENCE = 20
/** A length that does not end, and a stream's beginning as it should be. */
const ENDLESS = Buffer.alloc(1000, 0xff)
const PROPOSAL = Buffer.concat([MULTISTREAM, Buffer.from('\x1d/glueberry/session/2.0.0/no\n')])

/** Under libp2p's proper encryption: frames of yamux that are garbage, and streams that begin with garbage. */
export async function muxerAttacks(target: Target): Promise<{ readonly all: readonly Attack[] } & AsyncDisposable> {
  let raw: RawStream | undefined
  const host = await createLibp2p({
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [
      () => {
        const real = yamux()()
        return {
          protocol: real.protocol,
          createStreamMuxer: (connection) => {
            raw = connection as unknown as RawStream
            return real.createStreamMuxer(connection)
          },
        }
      },
    ],
    connectionMonitor: { enabled: false },
  })
  const dial = () => host.dial(multiaddr(target.addrs[0] as string), { force: true })

  const frames = async (random: Random): Promise<number> => {
    await dial()
    const connection = raw as RawStream
    // A header of 12 bytes: version, type, flags, stream, length. An unknown version or type, or lengths that lie.
    const frame = randomBytes(random, 12 + between(random, 0, 64))
    if (random() < 0.8) frame[0] = 0
    if (random() < 0.5) frame[1] = between(random, 0, 5)
    connection.send(frame)
    connection.send(randomBytes(random, 64))
    await closed(connection).catch(() => connection.abort(new Error('enough')))
    return 1
  }

  const beginnings = async (random: Random): Promise<number> => {
    const connection = await dial()
    const { muxer } = connection as unknown as { muxer: { createStream(): Promise<RawStream> } }
    const ways = [ENDLESS, mutated(random, PROPOSAL), truncated(random, PROPOSAL), randomBytes(random, 100)]
    for (const bytes of ways) {
      const stream = await muxer.createStream()
      if (random() < 0.5) stream.send(MULTISTREAM)
      stream.send(bytes)
      await closed(stream).catch(() => stream.abort(new Error('enough')))
    }
    connection.abort(new Error('enough'))
    return ways.length
  }

  const inTurn = oneAtATime() // each has to know which connection is its own
  return {
    all: [
      { step: 'on yamux', name: 'on yamux: garbage', weight: 1, run: inTurn(frames) },
      { step: 'on new streams', name: 'on new streams: no negotiation', weight: 1, run: inTurn(beginnings) },
    ],
    [Symbol.asyncDispose]: () => Promise.resolve(host.stop()),
  }
}

/** Makes attacks that wait for one another. */
function oneAtATime(): (attack: Attack['run']) => Attack['run'] {
  let last: Promise<unknown> = Promise.resolve()
  return (attack) => (random) => {
    const next = last.then(
      () => attack(random),
      () => attack(random),
    )
    last = next
    return next
  }
}

function closed(stream: RawStream): Promise<void> {
  const gone = new Promise<void>((resolve) => {
    if (stream.status !== 'open') resolve()
    stream.addEventListener('close', () => resolve())
  })
  return within(PATIENCE, 'the end', gone)
}
