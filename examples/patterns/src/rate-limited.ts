// Rate-limited sending: so many messages a second, no more; and no more waiting here than the receiver can take.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Node, PeerId } from '@glueberry/node'
import { startNode } from './nodes.ts'

/** Sends each line, at most `perSecond` of them a second; the signal ends it between two lines, and nothing is lost of those sent. */
async function sendSlowly(
  node: Node<'log'>,
  peer: PeerId,
  lines: Iterable<string>,
  perSecond: number,
  signal: AbortSignal,
): Promise<number> {
  let sent = 0
  let next = performance.now()
  for (const line of lines) {
    if (signal.aborted) break
    // Never waits while there is room; where there is none, the receiver says the pace.
    if (!node.trySend(peer, 'log', line)) await node.send(peer, 'log', line, { signal })
    sent++
    next = Math.max(next, performance.now() - 1000) + 1000 / perSecond // what was missed is caught up with, a second's worth at most
    await sleep(Math.max(0, next - performance.now()))
  }
  await node.flush(peer, { stream: 'log' })
  return sent
}

const collector = await startNode(['log'])
let received = 0
collector.handle('log', () => {
  received++
})
const source = await startNode(['log'])
const peer = await source.connect(collector.addrs)
const lines = Array.from({ length: 100 }, (_, i) => `line ${i}`)
const sent = await sendSlowly(source, peer, lines, 500, new AbortController().signal)
console.log(`${sent} sent, ${received} received`)
await Promise.all([source.stop(), collector.stop()])
