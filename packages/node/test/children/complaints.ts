// A node without a logger, whose handler fails: it complains on stderr, whatever has become of that.

import { once } from 'node:events'
import { Identity, Node } from '@glueberry/node'

const make = (): Node<'x'> =>
  new Node({ identity: Identity.generate(), streams: ['x'], listen: ['/ip4/127.0.0.1/tcp/0'] })
const [node, other] = [make(), make()]
await Promise.all([node.start(), other.start()])
node.handle('x', () => {
  throw new Error('a handler fails')
})
const id = await other.connect(node.addrs)
console.log('ready')
await once(process.stdin, 'data')
process.stdin.destroy()
for (let i = 0; i < 3; i++) await other.send(id, 'x', 'hello', { confirm: true }).catch(() => {})
console.log('complained')
await Promise.all([node.stop(), other.stop()])
