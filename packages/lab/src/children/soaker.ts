// Rounds of messages, cuts, and stops and starts, in one process that measures what it holds after each.
import { getEventListeners } from 'node:events'
import { Identity, Node } from '@glueberry/node'
import { chance, FaultProxy } from '@glueberry/testkit'
import { heldHere } from '../heap.ts'

/** What it is told, as JSON. */
export interface SoakerOptions {
  readonly seed: number
  readonly rounds: number
  /** In each round. */
  readonly messages: number
  readonly cuts: number
  /** A program is stopped, and another one started in its place, in every so manyeth round. */
  readonly restartEvery: number
  /** What it holds is measured in every so manyeth round. */
  readonly measureEvery: number
}

/** What one round has left behind. */
export interface SoakRound {
  readonly messages: number
  readonly reconnects: number
  readonly restarts: number
  /** What the program holds (`heldHere`), in bytes, in some rounds. */
  readonly heap?: number
  /** What keeps a process alive: sockets, servers, timers. */
  readonly handles: number
  /** On the process, and on the signal that all nodes were given. */
  readonly listeners: number
  /** Messages that were not the next one. */
  readonly wrong: number
}

const { seed, rounds, messages, cuts, restartEvery, measureEvery } = JSON.parse(
  process.argv[2] as string,
) as SoakerOptions
const random = chance(seed)
const identities = [Identity.generate(), Identity.generate()] as const
const ending = new AbortController()
const make = (which: 0 | 1, listen: string): Node<'x'> =>
  new Node({
    identity: identities[which],
    streams: ['x'],
    listen: [listen],
    reconnect: { baseDelay: 1, maxDelay: 20 },
    signal: ending.signal,
  })

let wrong = 0
let consumed = 0
let expected = 1
let reconnects = 0
const receive = (node: Node<'x'>): Node<'x'> => {
  node.handle('x', (message) => {
    if (Number(message.text()) !== expected) wrong++
    expected++
    consumed++
  })
  return node
}

let sender = make(0, '/ip4/127.0.0.1/tcp/0')
const receiver = receive(make(1, '/ip4/127.0.0.1/tcp/0'))
const watch = (node: Node<'x'>): void => {
  node.on('reconnected', () => reconnects++)
}
watch(sender)
await Promise.all([sender.start(), receiver.start()])
await using proxy = await FaultProxy.to(receiver.addrs[0] as string)
const peer = await sender.connect(proxy.address)
let restarts = 0
let sent = 0

for (let round = 1; round <= rounds; round++) {
  const begun = reconnects
  const wanted = consumed + messages
  const until = sent + messages
  let cutAt = Array.from({ length: cuts }, () => sent + Math.floor(random() * messages)).sort((a, b) => a - b)
  while (sent < until) {
    const [next = Number.POSITIVE_INFINITY] = cutAt
    if (sent >= next) {
      const before = reconnects
      proxy.cut()
      while (reconnects === before) await new Promise((resolve) => setImmediate(resolve))
      cutAt = cutAt.slice(1)
    }
    sent++
    await sender.send(peer, 'x', String(sent))
    if (sent % 500 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  await sender.flush(peer)
  if (consumed !== wanted) wrong++
  if (round % restartEvery === 0) {
    restarts++
    await sender.drain()
    sender = make(0, '/ip4/127.0.0.1/tcp/0')
    watch(sender)
    sent = 0
    expected = 1
    await sender.start()
    await sender.connect(proxy.address)
  }
  await new Promise((resolve) => setImmediate(resolve)) // what was closed is gone
  const resources = process.getActiveResourcesInfo().filter((name) => name !== 'Immediate')
  const result: SoakRound = {
    messages,
    reconnects: reconnects - begun,
    restarts,
    ...(round % measureEvery === 0 ? { heap: await heldHere() } : {}),
    handles: resources.length,
    listeners:
      process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0) +
      getEventListeners(ending.signal, 'abort').length,
    wrong,
  }
  console.log(`round ${JSON.stringify(result)}`)
}
await sender.stop()
await receiver.stop()
