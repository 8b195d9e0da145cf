import { connect, createServer, type Socket } from 'node:net'
import { RawPeer, reset } from '@glueberry/testkit'
import type { Target } from '../target.ts'
import { type Attack, between, mutated, pick, type Random, randomBytes, truncated } from './attack.ts'

/** How long a connection may stay open after its last byte, in milliseconds; then it is closed from here. */
const PATIENCE = 100

/** What an honest peer and the node have said to each other, chunk by chunk. */
interface Transcript {
  readonly said: readonly Uint8Array[]
  readonly heard: readonly Uint8Array[]
}

/** Attacks before anyone has proven who he is: on multistream and libp2p's Noise, with what others have said before. */
export async function socketAttacks(target: Target): Promise<Attack[]> {
  const { said, heard } = await record(target)
  const ways: Record<string, (random: Random) => readonly Uint8Array[]> = {
    garbage: (random) => [randomBytes(random, between(random, 1, 2000))],
    mutated: (random) => {
      const at = between(random, 0, said.length - 1)
      return said.map((chunk, i) => (i === at ? mutated(random, chunk) : chunk))
    },
    replayed: () => said,
    reordered: (random) => {
      const order = [...said]
      const [a, b] = [between(random, 0, order.length - 1), between(random, 0, order.length - 1)]
      ;[order[a], order[b]] = [order[b] as Uint8Array, order[a] as Uint8Array]
      return order
    },
    truncated: (random) => {
      const at = between(random, 0, said.length - 1)
      return [...said.slice(0, at), truncated(random, said[at] as Uint8Array)]
    },
    reflected: () => heard,
  }
  return Object.entries(ways).map(([name, chunks]) => ({
    step: 'before libp2p',
    name: `before libp2p knows who it is: ${name}`,
    weight: 30,
    run: async (random) => {
      await throwAt(target, chunks(random), pick(random, ['end', 'reset']))
      return 1
    },
  }))
}

function throwAt({ port }: Target, chunks: readonly Uint8Array[], how: 'end' | 'reset'): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    let timer: NodeJS.Timeout | undefined
    socket.on('error', () => {})
    socket.on('close', () => {
      clearTimeout(timer)
      resolve()
    })
    socket.resume()
    socket.on('connect', () => {
      for (const chunk of chunks) socket.write(chunk)
      if (how === 'end') socket.end()
      timer = setTimeout(() => reset(socket), PATIENCE)
    })
  })
}

/** An honest session, through a proxy that writes everything down. */
async function record(target: Target): Promise<Transcript> {
  const said: Uint8Array[] = []
  const heard: Uint8Array[] = []
  const sockets: Socket[] = []
  const server = createServer((near) => {
    const far = connect({ port: target.port, host: '127.0.0.1' })
    for (const [from, to, chunks] of [
      [near, far, said],
      [far, near, heard],
    ] as const) {
      sockets.push(from)
      from.on('error', () => {})
      from.on('data', (chunk) => {
        chunks.push(Uint8Array.from(chunk))
        to.write(chunk)
      })
      from.on('close', () => to.destroy())
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const address = `/ip4/127.0.0.1/tcp/${port}/p2p/${target.peerId}`
  {
    await using peer = new RawPeer()
    await peer.establish({ peerId: target.peerId, addrs: [address] })
  }
  for (const socket of sockets) socket.destroy()
  server.close()
  return { said, heard }
}
