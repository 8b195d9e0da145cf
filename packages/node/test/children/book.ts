// A node with an address book in a file: adds a peer for each line that it reads, and says how that went.
import { createInterface } from 'node:readline'
import { Identity, Node } from '@glueberry/node'

const node = new Node({ identity: Identity.generate(), streams: ['x'], addressBook: process.argv[2] as string })
node.on('error', ({ error }) => console.log(`error ${error.code} ${error.message}`))
try {
  await node.start()
  console.log('started')
} catch (error) {
  console.log(`refused ${(error as Error).message}`)
}
for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'stop') break
  try {
    await node.addPeer(Identity.generate().peerId, ['/ip4/127.0.0.1/tcp/1'], {
      connect: false,
      metadata: { line: line.padEnd(3000) },
    })
    console.log(`added, ${node.listPeers().length} known`)
  } catch (error) {
    console.log(`failed ${(error as { code: string }).code}, ${node.listPeers().length} known`)
  }
}
await node.stop()
process.exit(0)
