// A program with one or many nodes of this library, for the works with many peers.
import { Identity, Node, type PeerId } from '@glueberry/node'
import { percentile } from '@glueberry/testkit'
import { streamNames } from './contender.ts'
import { memory, obey } from './obey.ts'
import type { Delays, RoomOrders } from './room-orders.ts'

const SIZE = 64
const LARGE = new Uint8Array(64 * 1024)
/** Dials of one program at once. */
const AT_ONCE = 4

/** A node, and who is connected to it. */
interface Resident {
  readonly node: Node<string>
  readonly peers: Set<PeerId>
}

const residents: Resident[] = []
let delays: number[] = []
let wanted = { count: Number.POSITIVE_INFINITY, resolve: (): void => undefined }
let cpu = process.cpuUsage()

/** Milliseconds since 1970, the same in every program of this machine. */
const now = (): number => performance.timeOrigin + performance.now()

function receive({ data }: { readonly data: Uint8Array }): void {
  if (data.length === SIZE) delays.push(now() - new DataView(data.buffer, data.byteOffset).getFloat64(0))
  if (delays.length >= wanted.count) wanted.resolve()
}

function stamped(): Uint8Array {
  const message = new Uint8Array(SIZE)
  new DataView(message.buffer).setFloat64(0, now())
  return message
}

const summary = (all: readonly number[]): Delays => ({
  p50: percentile(all, 0.5),
  p99: percentile(all, 0.99),
  longest: all.reduce((a, b) => Math.max(a, b), 0),
})

const orders: RoomOrders = {
  async open({ nodes, names, connections }) {
    const streams = streamNames(names)
    while (residents.length < nodes) {
      const node = new Node({
        identity: Identity.generate(),
        ...(nodes === 1 ? { listen: ['/ip4/127.0.0.1/tcp/0'] } : {}),
        streams,
        limits: { connections, pendingPerAddress: 4096, pendingConnections: 4096 },
      })
      const peers = new Set<PeerId>()
      node.on('established', ({ peerId }) => peers.add(peerId))
      node.on('disconnected', ({ peerId }) => peers.delete(peerId))
      node.handle(streams, receive)
      residents.push({ node: await node.start(), peers })
    }
    return { address: residents[0]?.node.addrs[0] ?? '' }
  },

  async connect(address) {
    const took: number[] = []
    const left = residents.values()
    const dial = async (): Promise<void> => {
      for (const { node } of left) {
        const begun = performance.now()
        await node.connect(address)
        took.push(performance.now() - begun)
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, dial))
    return summary(took)
  },

  async connected() {
    return residents[0]?.peers.size ?? 0
  },

  async mark() {
    delays = []
    cpu = process.cpuUsage()
  },

  async spent() {
    const { user, system } = process.cpuUsage(cpu)
    return (user + system) / 1000
  },

  async pulse({ rounds, interval }) {
    const ways = residents.flatMap(({ node, peers }) => Array.from(peers, (peerId) => ({ node, peerId })))
    const count = rounds * ways.length
    const begun = performance.now()
    for (let i = 0; i < count; ) {
      const due = interval === 0 ? count : Math.min(count, ((performance.now() - begun) / interval) * ways.length)
      for (; i < due; i++) {
        const { node, peerId } = ways[i % ways.length] as (typeof ways)[number]
        await node.send(peerId, 'n0', stamped())
      }
      if (i < count) await new Promise((resolve) => setTimeout(resolve, 1))
    }
  },

  async pour(mebibytes) {
    await Promise.all(
      residents.map(async ({ node, peers }) => {
        const [peerId] = peers
        if (peerId === undefined) throw new Error('a node has no peer')
        for (let sent = 0; sent < mebibytes * 2 ** 20; sent += LARGE.length) await node.send(peerId, 'n0', LARGE)
        await node.flush()
      }),
    )
  },

  async arrived(count) {
    if (delays.length < count) {
      await new Promise<void>((resolve) => {
        wanted = { count, resolve }
      })
      wanted = { count: Number.POSITIVE_INFINITY, resolve: () => undefined }
    }
    return summary(delays)
  },

  memory,
}

obey(orders)
