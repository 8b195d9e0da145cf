import { connect, type Socket } from 'node:net'
import { Identity, Node, parsePeerId } from '@glueberry/node'
import { RawPeer } from '../../../node/test/support/raw-peer.ts'
import { Listener } from '../listener.ts'
import type { Row, RowResult } from '../row.ts'

const SOCKETS = 200
const WITHIN = 500
const PART = 0.99

const MULTISTREAM = Buffer.from('\x13/multistream/1.0.0\n')
const NOISE = Buffer.from('\x07/noise\n')

/** Beginnings that go no further: TCP, multistream, a chosen Noise, half a Noise message. */
const STAGES: readonly (readonly Buffer[])[] = [
  [],
  [MULTISTREAM],
  [MULTISTREAM, NOISE],
  [MULTISTREAM, NOISE, Buffer.from([0, 32, 1, 2, 3])],
]

/** Idle sockets from many addresses, opened again as soon as they are closed, and authenticated peers that never decide. */
export const slowloris: Row = {
  title:
    '200 idle sockets from many loopback addresses, held at TCP, multistream and Noise; peers held at the session’s handshake and the application’s',
  wanted: '≥ 99 % of honest dials within 500 ms',
  async run({ short, seed, budget, progress }): Promise<RowResult> {
    const dials = short ? 10 : 300
    await using listener = await Listener.start()
    await listener.honestDial(10_000)
    const held = new Set<Socket>()
    let over = false
    let opened = 0
    const hold = (i: number): void => {
      if (over) return
      const socket = connect({ port: listener.port, host: '127.0.0.1', localAddress: `127.0.${1 + (i % 50)}.1` })
      held.add(socket)
      opened++
      socket.on('error', () => {})
      socket.on('connect', () => {
        for (const bytes of STAGES[i % STAGES.length] as readonly Buffer[]) socket.write(bytes)
      })
      socket.on('close', () => {
        held.delete(socket)
        setTimeout(() => hold(i), 50)
      })
    }
    for (let i = 0; i < SOCKETS; i++) hold(i)
    // libp2p dials from one address, of which only 8 connections may be pending: some are left to the honest ones.
    // These prove who they are, and then never say whether they want it.
    const undecided = await Promise.all(
      Array.from({ length: 2 }, async () => {
        const node = new Node({
          identity: Identity.generate(),
          streams: ['x'],
          handshake: () => new Promise(() => undefined),
        })
        await node.start()
        node.connect(listener.address).catch(() => {})
        return node
      }),
    )
    // These prove it to libp2p only, and never begin the session's own handshake.
    const [address, id] = listener.address.split('/p2p/') as [string, string]
    const target = { peerId: parsePeerId(id), addrs: [address] }
    const silent = await Promise.all(Array.from({ length: 2 }, () => new RawPeer().connect(target)))
    const durations: (number | undefined)[] = []
    const begun = performance.now()
    try {
      while (durations.length < dials && (budget === undefined || performance.now() - begun < budget)) {
        durations.push(await listener.honestDial(5000))
        progress(`${durations.length} of ${dials} honest dials beside ${held.size} idle sockets`)
      }
    } finally {
      over = true
      for (const socket of held) socket.destroy()
      await Promise.all([...undecided.map((node) => node.stop()), ...silent.map((peer) => peer[Symbol.asyncDispose]())])
    }
    const inTime = durations.filter((duration) => duration !== undefined && duration <= WITHIN).length
    const part = inTime / durations.length
    return {
      passed: part >= PART && durations.length === dials,
      figure: `${durations.length} honest dials beside ${SOCKETS} idle sockets (${opened} opened) and 4 peers that go no further: ${(100 * part).toFixed(1)} % within ${WITHIN} ms`,
      failures:
        part >= PART ? [] : [`seed ${seed}: ${durations.length - inTime} of ${durations.length} took longer or failed`],
    }
  },
}
