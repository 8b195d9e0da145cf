// Sends numbers as fast as the receiver takes them, a few thousand a second, whatever becomes of the line.
import { setTimeout as sleep } from 'node:timers/promises'
import { Identity, Node, parsePeerId } from '@glueberry/node'
import { INTERVAL, logger, report } from './reports.ts'

const PER_TURN = 20
const TURN = 5

const node = new Node({
  identity: Identity.generate(),
  streams: ['numbers'],
  reconnect: { baseDelay: 100, maxDelay: 2000 },
  logger: logger('sender'),
})
let sent = 0
let undelivered = 0
let attempt = 0
let delay = 0
let drained: boolean | undefined

process.on('SIGINT', () => {}) // Ctrl+C reaches every program of a terminal; the monitor says when it is over
node.on('reconnecting', (event) => {
  attempt = event.attempt
  delay = event.delay
})
node.on('established', () => {
  attempt = 0
  delay = 0
})
node.on('undelivered', (event) => {
  undelivered += event.count
})

await node.start()
const address = process.argv[3] as string
const peer = parsePeerId(address.slice(address.lastIndexOf('/') + 1))
await node.addPeer(peer, [address]) // kept connected: the first dial may be cut as well

const tell = (): void => {
  report({
    from: 'sender',
    state: node.getPeer(peer)?.state ?? node.status,
    attempt,
    delay,
    buffered: node.buffered(peer).messages,
    sent,
    reconnects: node.peerStats(peer)?.reconnects ?? 0,
    undelivered,
    ...(drained === undefined ? {} : { drained }),
  })
}
const timer = setInterval(tell, INTERVAL)
const over = new AbortController()
process.on('message', () => over.abort()) // the only word that the monitor has
process.on('disconnect', () => {
  over.abort()
  clearInterval(timer)
  void node.stop()
})

while (!over.signal.aborted) {
  for (let i = 0; i < PER_TURN; i++) await node.send(peer, 'numbers', String(++sent))
  await sleep(TURN)
}
const { complete } = await node.drain()
drained = complete
clearInterval(timer)
tell()
