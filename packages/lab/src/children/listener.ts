// A node that others try to wear down. It answers what it is asked, line by line, and ends with its input.
import { createInterface } from 'node:readline'
import { Identity, Node, parsePeerId } from '@glueberry/node'
import { heldHere } from '../heap.ts'

const peers = Number(process.argv[2] ?? 0)
const streams = Array.from({ length: Number(process.argv[3] ?? 1) }, (_, i) => (i === 0 ? 'x' : `x${i}`))
const node = new Node({
  identity: Identity.generate(),
  streams,
  listen: ['/ip4/127.0.0.1/tcp/0'],
  // So many peers of one host; the budgets are the default ones.
  ...(peers > 0 ? { limits: { connections: 2 * peers, pendingConnections: peers, pendingPerAddress: peers } } : {}),
})
let consumed = 0
let wrong = 0
/** Messages that nobody may send: `children/attacker.ts`. */
let forged = 0
const last = new Map<string, number>()
node.on('error', ({ error }) => console.log(`error ${error.message}`))
node.handle(streams, (message) => {
  const text = message.text()
  if (text === 'hello') return
  const number = Number(text)
  if (Number.isNaN(number)) {
    forged++
    return
  }
  if (number !== (last.get(message.peerId) ?? 0) + 1) wrong++
  last.set(message.peerId, number)
  consumed++
})
await node.start()
console.log(`address ${node.addrs[0]}`)

/** The most that it held since it was last asked, garbage included. */
let peak = 0
const held = (): number => {
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
setInterval(() => {
  peak = Math.max(peak, held())
}, 20).unref()

const answers: Record<string, (argument: string) => Promise<unknown>> = {
  async memory() {
    const before = Math.max(peak, held())
    for (let i = 0; i < 3; i++) {
      globalThis.gc?.()
      await new Promise((resolve) => setImmediate(resolve))
    }
    peak = 0
    return { heap: held(), rss: process.memoryUsage().rss, peak: before }
  },
  held: heldHere,
  count: async () => ({ consumed, wrong, forged, peers: last.size }),
  /** The number of the last message of a peer that it has consumed, once the peer is gone. */
  async of(peer) {
    const peerId = parsePeerId(peer)
    while (node.getPeer(peerId)?.state === 'established') await new Promise((resolve) => setImmediate(resolve))
    return last.get(peerId) ?? 0
  },
  /** How many messages of 100 kB a peer can be sent at once, and what is kept of them. */
  async flood(peer) {
    const peerId = parsePeerId(peer)
    const data = new Uint8Array(100_000)
    let sent = 0
    while (node.trySend(peerId, 'x', data)) sent++
    return { sent, ...node.buffered(peerId) }
  },
  /** The event loop stands still. */
  async block(milliseconds) {
    const end = performance.now() + Number(milliseconds)
    while (performance.now() < end);
  },
}
const input = createInterface({ input: process.stdin })
input.on('line', async (line) => {
  const [question, argument] = line.split(' ') as [string, string?]
  console.log(`${question} ${JSON.stringify((await answers[question]?.(argument ?? '')) ?? null)}`)
})
input.on('close', () => void node.stop())
