// A node whose address book is full of peers that are gone. Says how soon it has found those that are there.
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { type AddressBookStore, Identity, Node } from '@glueberry/node'
import { eventually } from '@glueberry/testkit'

/** What it is told, as JSON. */
export interface BookwormOptions {
  /** Entries of peers that are gone, and where: one address refuses, the other one never says a word. */
  readonly dead: number
  readonly refusing: string
  readonly silent: string
  /** Complete addresses of peers that are there, and of one that is not in the book. */
  readonly live: readonly string[]
  readonly other: string
  /** How long it goes on, in milliseconds. */
  readonly duration: number
}

/** What it says, as JSON. */
export interface BookwormReport {
  readonly found: number
  readonly asked: number
  readonly delay: number
  readonly heap: number
  readonly events: number
}

const { dead, refusing, silent, live, other, duration } = JSON.parse(process.argv[2] as string) as BookwormOptions
const peers: Record<string, object> = {}
for (let i = 0; i < dead; i++)
  peers[Identity.generate().peerId] = { addresses: [i % 2 === 0 ? refusing : silent], connect: true, lastSeen: i % 3 }
for (const [i, address] of live.entries()) {
  const [where, peerId] = address.split('/p2p/') as [string, string]
  peers[peerId] = { addresses: [where], connect: true, lastSeen: Date.now() - i }
}
const store: AddressBookStore = { load: async () => ({ version: 1, peers, blocked: {} }), save: async () => {} }
const node = new Node({ identity: Identity.generate(), streams: ['x'], addressBook: store })
let events = 0
node.on('*', () => events++)
await node.start()
const loop = monitorEventLoopDelay({ resolution: 1 })
loop.enable()
const begun = performance.now()
await eventually(() => node.health().peers.established === live.length)
const found = performance.now() - begun
const asks = performance.now()
await node.connect(other)
const asked = performance.now() - asks
await new Promise((resolve) => setTimeout(resolve, duration))
loop.disable()
for (let i = 0; i < 4; i++) {
  globalThis.gc?.()
  await new Promise((resolve) => setImmediate(resolve))
}
const report: BookwormReport = {
  found,
  asked,
  delay: loop.percentile(99) / 1e6,
  heap: process.memoryUsage().heapUsed,
  events,
}
console.log(`report ${JSON.stringify(report)}`)
await node.stop()
