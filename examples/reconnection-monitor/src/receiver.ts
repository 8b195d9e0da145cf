// Receives numbers and holds them against what must come: each once, in order.
import { Identity, Node } from '@glueberry/node'
import { INTERVAL, logger, report } from './reports.ts'

const node = new Node({
  identity: Identity.generate(),
  streams: ['numbers'],
  listen: ['/ip4/127.0.0.1/tcp/0'],
  logger: logger('receiver'),
})
let received = 0
let lost = 0
let duplicated = 0
let last = 0

node.handle('numbers', (message) => {
  const number = Number(message.text())
  received++
  if (number <= last) duplicated++
  else lost += number - last - 1
  last = Math.max(last, number)
})

process.on('SIGINT', () => {}) // Ctrl+C reaches every program of a terminal; the monitor says when it is over
await node.start()
const address = node.addrs[0] as string
const tell = (): void => report({ from: 'receiver', address, received, lost, duplicated })
tell()
const timer = setInterval(tell, INTERVAL)
process.on('disconnect', () => {
  clearInterval(timer)
  void node.stop()
})
