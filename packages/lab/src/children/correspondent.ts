// One of two programs that send each other numbered messages, and check what comes. What it sees goes to its parent.
import { Identity, Node, type PeerId } from '@glueberry/node'

/** What it is told, as JSON. */
export interface CorrespondentOptions {
  /** Its identity is made of this. */
  readonly own: number
  /** The other's is made of this. */
  readonly other: number
  /** Where the other is; without it, this one waits to be dialed. */
  readonly address?: string
  /** Messages to send on each name, and to expect. */
  readonly count: number
  readonly names: readonly string[]
}

/** What it saw. */
export interface Correspondence {
  readonly received: number
  /** Messages that were not the next one, and the first of them. */
  readonly wrong: number
  readonly example?: string
  readonly undelivered: number
  readonly sessions: number
}

const identityOf = (seed: number): Identity => Identity.fromSeed(new Uint8Array(32).fill(seed))

/** What a message says: its number, and a filler whose length follows from it. */
const textOf = (number: number): string => `${number} ${'x'.repeat((number * 7919) % 120)}`

const { own, other, address, count, names } = JSON.parse(process.argv[2] as string) as CorrespondentOptions
const node = new Node({
  identity: identityOf(own),
  streams: names,
  listen: ['/ip4/127.0.0.1/tcp/0'],
  reconnect: { baseDelay: 1, maxDelay: 20 },
})
const peer: PeerId = identityOf(other).peerId
const expected = new Map<string, number>(names.map((name) => [name, 1]))
let received = 0
let wrong = 0
let example: string | undefined
let undelivered = 0
let sessions = 0
const all = Promise.withResolvers<void>()

node.on('established', () => sessions++)
node.on('undelivered', (event) => {
  undelivered += event.count
})
node.handle(names, (message) => {
  const wanted = expected.get(message.stream) as number
  const text = message.text()
  const number = Number(text.split(' ', 1)[0])
  expected.set(message.stream, number + 1)
  if (number !== wanted || message.redelivered || text !== textOf(number)) {
    wrong++
    example ??= `${message.stream}: ${number}${message.redelivered ? ' again' : ''}, wanted ${wanted}`
  }
  if (++received === count * names.length) all.resolve()
})

await node.start()
console.log(`address ${node.addrs[0]}`)
await node.addPeer(peer, address === undefined ? [] : [address], { connect: address !== undefined })
const sending = Promise.all(
  names.map(async (name) => {
    for (let i = 1; i <= count; i++) await node.send(peer, name, textOf(i))
  }),
)
const asked = new Promise<void>((resolve) => process.stdin.once('end', resolve).resume())
await Promise.race([Promise.all([sending.then(() => node.flush(peer)), all.promise]), asked])
console.log('done')
await asked // the other may not be done
await node.drain({ timeout: 2000 })
const seen: Correspondence = { received, wrong, ...(example === undefined ? {} : { example }), undelivered, sessions }
console.log(`seen ${JSON.stringify(seen)}`)
