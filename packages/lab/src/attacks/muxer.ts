import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import type { Target } from '../target.ts'
import { within } from '../within.ts'
import { type Attack, between, randomBytes } from './attack.ts'

interface RawConnection {
  send(bytes: Uint8Array): boolean
  addEventListener(type: 'close', listener: () => void): void
  readonly status: string
  abort(error: Error): void
}

/** Frames of yamux that are garbage, under libp2p's proper encryption. */
export async function muxerAttack(target: Target): Promise<Attack & AsyncDisposable> {
  let raw: RawConnection | undefined
  const host = await createLibp2p({
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [
      () => {
        const real = yamux()()
        return {
          protocol: real.protocol,
          createStreamMuxer: (connection) => {
            raw = connection as unknown as RawConnection
            return real.createStreamMuxer(connection)
          },
        }
      },
    ],
    connectionMonitor: { enabled: false },
  })
  let last: Promise<unknown> = Promise.resolve()
  const once = async (random: () => number): Promise<number> => {
    await host.dial(multiaddr(target.addrs[0] as string), { force: true })
    const connection = raw as RawConnection
    const closed = new Promise<void>((resolve) => {
      if (connection.status !== 'open') resolve()
      connection.addEventListener('close', () => resolve())
    })
    // A header of 12 bytes: version, type, flags, stream, length. An unknown version or type, or lengths that lie.
    const frame = randomBytes(random, 12 + between(random, 0, 64))
    if (random() < 0.8) frame[0] = 0
    if (random() < 0.5) frame[1] = between(random, 0, 5)
    connection.send(frame)
    connection.send(randomBytes(random, 64))
    // What is taken for the beginning of a frame is waited for: then the end comes from here.
    await within(20, 'yamux', closed).catch(() => connection.abort(new Error('enough')))
    return 1
  }
  return {
    step: 'on yamux',
    name: 'on yamux: garbage',
    weight: 1,
    // One at a time: each has to know which connection is its own.
    run: (random) => {
      const next = last.then(
        () => once(random),
        () => once(random),
      )
      last = next
      return next
    },
    [Symbol.asyncDispose]: () => Promise.resolve(host.stop()),
  }
}
