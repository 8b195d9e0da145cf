import { Identity, Node } from '@glueberry/node'
import { Listener } from '../listener.ts'
import type { Row, RowResult } from '../row.ts'

const PEERS = 1000
const MESSAGES = 200
const HEAP_KIB = 80
const RSS_KIB = 200

/** A thousand nodes in one process, all of which send to one. */
export const crowd: Row = {
  title: '1,000 peers in one process, all sending to one node',
  wanted: `all served, in order; idle ≤ ${HEAP_KIB} KiB of heap and ${RSS_KIB} KiB of RSS each`,
  async run({ short, progress }): Promise<RowResult> {
    const count = short ? 40 : PEERS
    await using listener = await Listener.start(count + 10)
    await listener.honestDial(60_000)
    const before = await listener.memory()
    const nodes: Node<'x'>[] = []
    const hub = listener.target.peerId
    try {
      for (let i = 0; i < count; i++) {
        const node = new Node({ identity: Identity.generate(), streams: ['x'] })
        nodes.push(node)
        await node.start()
        await node.connect(listener.address)
        progress(`${nodes.length} of ${count} peers`)
      }
      const idle = await listener.memory()
      const heap = (idle.heap - before.heap) / count / 1024
      const rss = (idle.rss - before.rss) / count / 1024
      progress('all send')
      const begun = performance.now()
      await Promise.all(
        nodes.map(async (node) => {
          for (let i = 1; i <= MESSAGES; i++) await node.send(hub, 'x', String(i))
          await node.flush()
        }),
      )
      const seconds = (performance.now() - begun) / 1000
      const { consumed, wrong, peers } = await listener.count()
      const failures: string[] = [...listener.errors.slice(0, 3)]
      if (consumed !== count * MESSAGES) failures.push(`${consumed} of ${count * MESSAGES} messages were consumed`)
      if (wrong > 0) failures.push(`${wrong} messages were not the next one`)
      if (peers !== count) failures.push(`${peers} of ${count} peers were served`)
      if (!short && heap > HEAP_KIB) failures.push(`an idle peer takes ${heap.toFixed(0)} KiB of heap`)
      if (!short && rss > RSS_KIB) failures.push(`an idle peer takes ${rss.toFixed(0)} KiB of RSS`)
      return {
        passed: failures.length === 0,
        figure: `${peers} peers, ${consumed.toLocaleString('en')} messages in ${seconds.toFixed(1)} s; idle ${heap.toFixed(0)} KiB of heap and ${rss.toFixed(0)} KiB of RSS each`,
        failures,
      }
    } finally {
      await Promise.all(nodes.map((node) => node.stop()))
    }
  },
}
