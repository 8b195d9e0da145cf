// Holds connections to a node that go no further than the stages that it is told, each from an address of its own, and
// opens each again when it is closed. Says how many it holds and has opened so far when asked, and ends with its input.
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { FaultProxy, RawPeer } from '@glueberry/testkit'
import { MULTISTREAM, NOISE } from '../beginnings.ts'
import { targetAt } from '../target.ts'

/** What it is told, as JSON. */
export interface IdlerOptions {
  readonly address: string
  readonly count: number
  readonly stages: readonly Stage[]
}

export type Stage = 'TCP' | 'multistream' | 'Noise' | 'half a Noise message' | 'KK' | 'before READY'

/** How long until a closed connection is opened again, in milliseconds. */
const PAUSE = 100

const sockets =
  (...beginning: readonly Uint8Array[]) =>
  (from: string): Promise<void> =>
    new Promise((resolve) => {
      const socket = connect({ port, host: '127.0.0.1', localAddress: from })
      socket.on('error', () => {})
      socket.on('connect', () => {
        opened++
        held++
        for (const bytes of beginning) socket.write(bytes)
        socket.on('close', () => held--)
      })
      socket.on('close', () => resolve())
      socket.resume()
    })

const peers =
  (begin: (peer: RawPeer, target: Parameters<RawPeer['connect']>[0]) => Promise<unknown>) =>
  async (from: string): Promise<void> => {
    // libp2p does not choose where it dials from; a proxy does.
    await using proxy = await FaultProxy.to(address, from)
    await using peer = new RawPeer()
    try {
      await begin(peer, { peerId, addrs: [proxy.address] })
      opened++
      held++
      await new Promise<void>((resolve) => peer.link.onClose(() => resolve()))
      held--
    } catch {
      // refused
    }
  }

/** Each resolves when the connection is gone. */
const STAGES: Readonly<Record<Stage, (from: string) => Promise<void>>> = {
  TCP: sockets(),
  multistream: sockets(MULTISTREAM),
  Noise: sockets(MULTISTREAM, NOISE),
  'half a Noise message': sockets(MULTISTREAM, NOISE, Uint8Array.of(0, 32, 1, 2, 3)),
  KK: peers((peer, target) => peer.connect(target)),
  'before READY': peers(async (peer, target) => {
    await peer.handshake(target)
    peer.setup()
  }),
}

const { address, count, stages } = JSON.parse(process.argv[2] as string) as IdlerOptions
const { port, peerId } = targetAt(address)
let opened = 0
let held = 0

async function hold(i: number): Promise<never> {
  const stage = STAGES[stages[i % stages.length] as Stage]
  for (;;) {
    await stage(`127.1.${i >> 8}.${(i & 255) + 1}`)
    await new Promise((resolve) => setTimeout(resolve, PAUSE))
  }
}

for (let i = 0; i < count; i++) void hold(i)
const input = createInterface({ input: process.stdin })
input.on('line', () => console.log(`holds ${held} of ${opened}`))
input.on('close', () => process.exit())
