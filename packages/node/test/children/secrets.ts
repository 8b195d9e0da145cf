// A node in the middle of its life shows everything that it can be made to show; where its heap lies is the argument.

import { inspect } from 'node:util'
import { writeHeapSnapshot } from 'node:v8'
import { Identity, Node } from '@glueberry/node'

const show = (value: unknown): void =>
  console.log(inspect(value, { depth: 12, showHidden: true, maxArrayLength: null, maxStringLength: null }))
const log = (text: string, fields?: object): void => show({ text, fields })
const logger = { debug: log, info: log, warn: log, error: log }

// Made here and nowhere else: a text of it would be in the heap.
const seed = Uint8Array.from({ length: 32 }, (_, i) => (i * 37 + 11) & 255)
const identity = Identity.fromSeed(seed)
const listen = ['/ip4/127.0.0.1/tcp/0']
const node = new Node({ identity, streams: ['x'], listen, logger })
const other = new Node({ identity: Identity.generate(), streams: ['x'], listen, logger })
for (const each of [node, other]) each.on('*', show)
await Promise.all([node.start(), other.start()])
const peer = await node.connect(other.addrs)
other.handle('x', () => {
  throw new Error('a handler fails')
})
await node.send(peer, 'x', 'hello', { confirm: true }).catch(show)
for (const wrong of [
  () => node.connect('/ip4/127.0.0.1/tcp/1/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA'),
  () => node.send(peer, 'y' as 'x', 'hello'),
  () => new Node({ identity, streams: [''] }),
  () => Identity.fromSeed(seed.subarray(1)),
]) {
  try {
    await wrong()
  } catch (error) {
    show(error)
  }
}
show(identity)
show(node)
show(node.listPeers())
show(node.health())
console.log(JSON.stringify({ identity, node, peers: node.listPeers(), stats: [...node.allPeerStats()] }))
writeHeapSnapshot(process.argv[2])
await Promise.all([node.stop(), other.stop()])
console.log('done')
