// Worker pool: at most so many jobs at once, whoever sends them; a shutdown waits for those that have begun and those that wait.
import { setTimeout as sleep } from 'node:timers/promises'
import { startNode } from './nodes.ts'

const WORKERS = 4

const workers = await startNode(['jobs'])
let running = 0
let most = 0
let done = 0
workers.handle(
  'jobs',
  async (message, signal) => {
    most = Math.max(most, ++running)
    try {
      // The signal aborts when the node stops without draining. What is not finished then comes again, to who runs next.
      await sleep(Number(message.text()), undefined, { signal })
      done++
    } finally {
      running--
    }
  },
  { concurrency: WORKERS, ordered: false },
)

const client = await startNode(['jobs'])
const peer = await client.connect(workers.addrs)
for (let i = 0; i < 40; i++) await client.send(peer, 'jobs', String(5 + (i % 3)))
await client.flush(peer) // consumed: done, as each handler has settled

const report = await workers.drain()
console.log(`${done} jobs done, at most ${most} at once, complete: ${report.complete}`)
await client.stop()
