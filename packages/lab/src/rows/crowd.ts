import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { Identity, Node } from '@glueberry/node'
import { spawnNode } from '@glueberry/testkit'
import type { BookwormOptions, BookwormReport } from '../children/bookworm.ts'
import { Listener } from '../listener.ts'
import type { Row, RowResult } from '../row.ts'

const program = fileURLToPath(new URL('../children/bookworm.ts', import.meta.url))
const PEERS = 1000
/** Each accepts so many names, as x, x1, x2, …, and uses one of them. */
const NAMES = Array.from({ length: 64 }, (_, i) => (i === 0 ? 'x' : `x${i}`))
const MESSAGES = 200
const HEAP_KIB = 80
const RSS_KIB = 200

/** Entries of an address book, all but ten of which are gone. */
const ENTRIES = 10_000
const LIVE = 10
/** When the others are found, in milliseconds; what a caller's dial takes; the delay of the event loop at p99; and heap, in MiB. */
const [FOUND_MAX, ASKED_MAX, DELAY_MAX, HEAP_MAX] = [10_000, 1000, 20, 150]

/** A thousand nodes in one process, all of which send to one. */
export const crowd: Row = {
  title:
    '1,000 peers in one process, with 64 names each, all sending to one node with default budgets; then a node whose address book has 10,000 entries, 9,990 of peers that are gone',
  wanted: `all served, in order; idle ≤ ${HEAP_KIB} KiB of heap and ${RSS_KIB} KiB of RSS each; the live entries connected within ${FOUND_MAX / 1000} s, a caller within ${ASKED_MAX} ms, event loop p99 ≤ ${DELAY_MAX} ms, heap ≤ ${HEAP_MAX} MiB`,
  async run({ short, progress }): Promise<RowResult> {
    const count = short ? 40 : PEERS
    await using listener = await Listener.start(count + 10, NAMES.length)
    await listener.honestDial(60_000)
    const before = await listener.memory()
    const nodes: Node<string>[] = []
    const hub = listener.target.peerId
    try {
      for (let i = 0; i < count; i++) {
        const node = new Node({ identity: Identity.generate(), streams: NAMES })
        nodes.push(node)
        await node.start()
        await node.connect(listener.address)
        progress(`${nodes.length} of ${count} peers`)
      }
      const idle = await listener.memory()
      const heap = (idle.heap - before.heap) / count / 1024
      const rss = (idle.rss - before.rss) / count / 1024
      progress('all send')
      const begun = performance.now()
      await Promise.all(
        nodes.map(async (node, index) => {
          const name = NAMES[index % NAMES.length] as string
          for (let i = 1; i <= MESSAGES; i++) await node.send(hub, name, String(i))
          await node.flush()
        }),
      )
      const seconds = (performance.now() - begun) / 1000
      const { consumed, wrong, peers } = await listener.count()
      const failures: string[] = [...listener.errors.slice(0, 3)]
      if (consumed !== count * MESSAGES) failures.push(`${consumed} of ${count * MESSAGES} messages were consumed`)
      if (wrong > 0) failures.push(`${wrong} messages were not the next one`)
      if (peers !== count) failures.push(`${peers} of ${count} peers were served`)
      if (!short && heap > HEAP_KIB) failures.push(`an idle peer takes ${heap.toFixed(0)} KiB of heap`)
      if (!short && rss > RSS_KIB) failures.push(`an idle peer takes ${rss.toFixed(0)} KiB of RSS`)
      const { found, asked, delay, heap: bookHeap, events } = await bookOfTheDead(LIVE + 1, short, progress)
      const heapMib = bookHeap / 1024 / 1024
      if (!short && found > FOUND_MAX) failures.push(`the live entries were found after ${found.toFixed(0)} ms`)
      if (!short && asked > ASKED_MAX) failures.push(`a caller waited for ${asked.toFixed(0)} ms`)
      if (!short && delay > DELAY_MAX) failures.push(`the event loop was late by ${delay.toFixed(1)} ms at p99`)
      if (heapMib > HEAP_MAX) failures.push(`the book's node has ${heapMib.toFixed(0)} MiB of heap`)
      const book = `${LIVE} of ${short ? ENTRIES / 20 : ENTRIES} entries found after ${found.toFixed(0)} ms, a caller's dial ${asked.toFixed(0)} ms, event loop p99 ${delay.toFixed(1)} ms, ${heapMib.toFixed(0)} MiB of heap, ${events} events`
      return {
        passed: failures.length === 0,
        figure: `${peers} peers, ${consumed.toLocaleString('en')} messages in ${seconds.toFixed(1)} s; idle ${heap.toFixed(0)} KiB of heap and ${rss.toFixed(0)} KiB of RSS each; ${book}`,
        failures,
      }
    } finally {
      await Promise.all(nodes.map((node) => node.stop()))
    }
  },
}

/** A node that looks for some of these, among many that are gone. */
async function bookOfTheDead(count: number, short: boolean, progress: (text: string) => void): Promise<BookwormReport> {
  progress('an address book of peers that are gone')
  const sockets = new Set<Socket>()
  const silent = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
  }).listen(0, '127.0.0.1')
  const refusing = createServer().listen(0, '127.0.0.1')
  await Promise.all([once(silent, 'listening'), once(refusing, 'listening')])
  const at = (server: Server): string => `/ip4/127.0.0.1/tcp/${(server.address() as AddressInfo).port}`
  const listeners = await Promise.all(
    Array.from({ length: count }, async () => {
      const node = new Node({ identity: Identity.generate(), streams: ['x'], listen: ['/ip4/127.0.0.1/tcp/0'] })
      return node.start()
    }),
  )
  const [other, ...live] = listeners.map(({ addrs }) => addrs[0] as string)
  const options: BookwormOptions = {
    dead: short ? ENTRIES / 20 : ENTRIES - LIVE,
    refusing: at(refusing),
    silent: at(silent),
    live,
    other: other as string,
    duration: short ? 1000 : 30_000,
  }
  await new Promise((resolve) => refusing.close(resolve))
  try {
    await using child = spawnNode(['--expose-gc', program, JSON.stringify(options)])
    const [, json] = (await child.line(/^report (.*)$/)) as unknown as [string, string]
    return JSON.parse(json) as BookwormReport
  } finally {
    await Promise.all(listeners.map((node) => node.stop()))
    silent.close()
    for (const socket of sockets) socket.destroy()
  }
}
