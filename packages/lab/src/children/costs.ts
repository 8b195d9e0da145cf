// Measures what calls cost beside ten times as many. Prints a line of JSON for each.
import { Identity, Node } from '@glueberry/node'
import type { Cost } from '../rows/costs.ts'

const long = process.argv[2] === 'long'
const scale = long ? 1 : 0.05
const told = (cost: Cost): void => console.log(JSON.stringify(cost))

/** How long `run` takes for `count`, and for ten times as many. */
async function grows(name: string, count: number, run: (count: number) => Promise<number>): Promise<void> {
  const small = Math.max(10, Math.round(count * scale))
  await run(small) // what is compiled once is compiled now
  const [some, more] = [await run(small), await run(10 * small)]
  told({
    name,
    growth: more / some,
    figure: `${some.toFixed(1)} ms for ${small}, ${more.toFixed(1)} for ${10 * small}`,
  })
}

async function timed(run: () => unknown): Promise<number> {
  const begun = performance.now()
  await run()
  return performance.now() - begun
}

const make = (options: object = {}): Node =>
  new Node({ identity: Identity.generate(), streams: ['x'], limits: { waitingSends: 1_000_000 }, ...options })

/** A node that keeps what it is given for a peer that is away. */
async function withAbsent(sendBuffer: number): Promise<{ node: Node; peerId: Node['peerId'] }> {
  const node = make({ flow: { sendBuffer } })
  const { peerId } = Identity.generate()
  await node.addPeer(peerId, [], { connect: false })
  await node.start()
  return { node, peerId }
}

await grows('confirmed sends that are aborted', 3000, async (count) => {
  const { node, peerId } = await withAbsent(2 ** 30)
  const controllers = Array.from({ length: count }, () => new AbortController())
  const sends = controllers.map(({ signal }) => node.send(peerId, 'x', 'x', { confirm: true, signal }).catch(() => {}))
  const took = await timed(async () => {
    for (const controller of controllers) controller.abort()
    await Promise.all(sends)
  })
  await node.stop()
  return took
})
await grows('sends that wait', 20_000, async (count) => {
  const { node, peerId } = await withAbsent(0)
  void node.send(peerId, 'x', 'x').catch(() => {})
  const took = await timed(async () => {
    const sends = Array.from({ length: count }, () => node.send(peerId, 'x', 'x').catch(() => {}))
    await node.removePeer(peerId)
    await Promise.all(sends)
  })
  await node.stop()
  return took
})
await grows('questions beside peers', 1000, async (count) => {
  const node = make()
  for (let i = 0; i < count; i++) await node.addPeer(Identity.generate().peerId, [], { connect: false })
  await node.start()
  const unknown = Identity.generate().peerId
  const took = await timed(async () => {
    for (let i = 0; i < 100; i++) {
      await node.addPeer(unknown, [], { connect: false }) // something has changed each time
      node.getPeer(Identity.fromSeed(new Uint8Array(32).fill(i)).peerId)
      node.health()
      await node.removePeer(unknown)
    }
  })
  await node.stop()
  return took
})
