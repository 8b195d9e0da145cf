// Sends numbered messages and writes down what it consumes before it is acknowledged, until it is killed, or told to finish.
import { appendFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { Identity, Node } from '@glueberry/node'

/** What it is told, as JSON. */
export interface SurvivorOptions {
  /** Its identity is made of this. */
  readonly own: number
  /** The other's is made of this. */
  readonly other: number
  /** Which life of this program it is: its messages say so. */
  readonly life: number
  /** Where to listen; the second life listens where the first one did. */
  readonly listen: string
  /** Where the other is, if that is known yet. */
  readonly address: string | undefined
  /** The file for what it consumes, one message a line: the sender's life, the number, whether it is marked as redelivered. */
  readonly journal: string
}

/** So many messages are sent at once, and so many milliseconds lie between. */
const [BURST, PAUSE] = [20, 5]
/** After so many messages its consumer rests so long: others wait unread meanwhile, and are due again if it is killed. */
const [REST_EVERY, REST] = [100, 20]

const { own, other, life, listen, address, journal } = JSON.parse(process.argv[2] as string) as SurvivorOptions
const identityOf = (seed: number): Identity => Identity.fromSeed(new Uint8Array(32).fill(seed))
const node = new Node({
  identity: identityOf(own),
  streams: ['x'],
  listen: [listen],
  reconnect: { baseDelay: 1, maxDelay: 50 },
  heartbeat: { interval: 200, timeout: 1000 },
})
const peer = identityOf(other).peerId
node.on('error', ({ error }) => console.log(`wrong ${error.message}`))
node.on('undelivered', ({ from, count }) => console.log(`wrong: ${count} from ${from} on are undelivered`))
node.on('skipped', ({ from, count }) => console.log(`wrong: ${count} from ${from} on were skipped`))
let consumed = 0
node.handle('x', async (message) => {
  appendFileSync(journal, `${message.text()} ${message.redelivered ? 1 : 0}\n`)
  if (++consumed % REST_EVERY === 0) await new Promise((resolve) => setTimeout(resolve, REST))
})
await node.start()
console.log(`address ${node.addrs[0]}`)
await node.addPeer(peer, address === undefined ? [] : [address], { connect: address !== undefined })

let finishing = false
const input = createInterface({ input: process.stdin })
input.on('line', () => {
  finishing = true
})
let sent = 0
while (!finishing) {
  for (let i = 0; i < BURST; i++) await node.send(peer, 'x', `${life} ${++sent}`)
  await new Promise((resolve) => setTimeout(resolve, PAUSE))
}
await node.flush(peer)
console.log(`sent ${sent}`)
input.on('close', () => void node.stop())
