// A node that others try to wear down. On `memory` it says how much it holds; it ends with its input.
import { createInterface } from 'node:readline'
import { Identity, Node } from '@glueberry/node'

const node = new Node({ identity: Identity.generate(), streams: ['x'], listen: ['/ip4/127.0.0.1/tcp/0'] })
node.on('error', ({ error }) => console.log(`error ${error.message}`))
node.handle('x', () => {})
await node.start()
console.log(`address ${node.addrs[0]}`)

const input = createInterface({ input: process.stdin })
input.on('line', async () => {
  for (let i = 0; i < 3; i++) {
    globalThis.gc?.()
    await new Promise((resolve) => setImmediate(resolve))
  }
  const { heapUsed, external } = process.memoryUsage()
  console.log(`memory ${heapUsed + external}`)
})
input.on('close', () => void node.stop())
