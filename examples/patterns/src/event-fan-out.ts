// Event fan-out: any number of parts of a program follow what happens, each at its own pace and with its own filter. Here
// are three: a monitor that logs everything, a handshake that waits for one event, and a metric that counts.
import type { Node, NodeEvent, PeerId } from '@glueberry/node'
import { startNode } from './nodes.ts'

/** A monitor that takes its time: a subscription of its own, whose buffer drops the oldest events rather than slow the node. */
async function log(node: Node, write: (event: NodeEvent) => Promise<void>): Promise<number> {
  await using events = node.subscribeEvents()
  for await (const event of events) await write(event)
  return events.dropped
}

/** A handshake: what has to wait for a session that the other side may begin. Ask before the event can have come. */
async function nextSession(node: Node, signal: AbortSignal): Promise<PeerId> {
  await using events = node.subscribeEvents({ types: ['established'] })
  const ended = new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
  const { value, done } = await Promise.race([events.next(), ended])
  if (done === true) throw new Error('the node was stopped before anybody came')
  return value.peerId
}

/** A metric that only counts: a callback. Returns what ends it. */
function countSessions(node: Node, show: (sessions: number) => void): () => void {
  const sessions = new Set<PeerId>()
  return node.on(['established', 'disconnected'], ({ type, peerId }) => {
    // `disconnected` tells of a dial that failed, too: only a set counts right.
    const changed = type === 'established' ? !sessions.has(peerId) : sessions.has(peerId)
    if (type === 'established') sessions.add(peerId)
    else sessions.delete(peerId)
    if (changed) show(sessions.size)
  })
}

const alice = await startNode(['chat'])
const bob = await startNode(['chat'])
const seen: string[] = []
const logging = log(alice, async (event) => void seen.push(event.type))
const arrival = nextSession(alice, AbortSignal.timeout(10_000))
const stop = countSessions(alice, (sessions) => console.log(`alice has ${sessions} session(s)`))

await bob.connect(alice.addrs)
console.log(`the first to come is bob: ${(await arrival) === bob.peerId}`)
await bob.stop()
await alice.stop() // ends every subscription, after it has been read
stop()
console.log(`${await logging} events dropped; seen: ${seen.join(', ')}`)
