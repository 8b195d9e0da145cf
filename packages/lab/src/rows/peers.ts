import { Identity, Node } from '@glueberry/node'
import { percentile, RawPeer } from '@glueberry/testkit'
import { ended, PEER_ATTACKS } from '../attacks/peers.ts'
import { Listener } from '../listener.ts'
import type { Row, RowResult } from '../row.ts'

const MIB = 1024 * 1024
/** What one attack may leave: what is kept for one peer (`flow.peerBudget`), and something for all else; in bytes. */
const MEMORY_MAX = (64 + 32) * MIB
/** What all may leave: what is kept for all peers at this node (`flow.nodeBudget` of `children/listener.ts`), and the same. */
const ALL_MAX = (200 + 32) * MIB
/** The same during an attack, with garbage that is not yet collected. */
const PEAK_MAX = 256 * MIB
/** An honest peer's confirmed message takes no longer beside an attack, in milliseconds, at p99. */
const UNAFFECTED = 1000
/** A stranger's dial right after an attack takes no longer, in milliseconds. */
const PATIENCE = 10_000

/** Peers whose identity is proven, and who keep to no rule. */
export const peers: Row = {
  title: `authenticated peers that break a rule each, in ${PEER_ATTACKS.length} ways, beside an honest one`,
  wanted: `memory within the budgets, ended with \`protocol\`, others unaffected (messages confirmed within ${UNAFFECTED} ms at p99, no disconnects)`,
  async run({ seed, short, budget, progress }): Promise<RowResult> {
    const rounds = short ? 1 : 10
    const begun = performance.now()
    await using listener = await Listener.start(100)
    const { target } = listener
    const honest = new Node({ identity: Identity.generate(), streams: ['x'] })
    await honest.start()
    await honest.connect(listener.address)
    let lost = 0
    honest.on('disconnected', () => lost++)
    let over = false
    let sent = 0
    const durations: number[] = []
    const talking = (async () => {
      while (!over) {
        const at = performance.now()
        await honest.send(target.peerId, 'x', String(++sent), { confirm: true })
        durations.push(performance.now() - at)
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
    })()
    const failures: string[] = []
    let first = 0
    let most = 0
    let highest = 0
    let done = 0
    try {
      first = (await listener.memory()).heap
      let last = first
      for (let round = 0; round < rounds; round++) {
        for (const { name, outcome, run } of PEER_ATTACKS) {
          if (performance.now() - begun > budget) continue
          progress(`${done} of ${rounds * PEER_ATTACKS.length}: ${name}`)
          await using peer = new RawPeer()
          try {
            await run(peer, target)
            if (outcome === 'harmless') {
              if ((await listener.honestDial(PATIENCE)) === undefined) throw new Error('a stranger could not connect')
            } else if (outcome !== 'slowed') await ended(peer, outcome)
            else {
              const { sent, bytes } = await listener.flood(peer.identity.peerId)
              if (sent === 0 || bytes > MEMORY_MAX) throw new Error(`${bytes} bytes are kept for it`)
            }
          } catch (error) {
            failures.push(`${name}: ${(error as Error).message}`)
          }
          const { heap, peak } = await listener.memory()
          most = Math.max(most, heap - last)
          highest = Math.max(highest, peak - last)
          last = heap
          done++
        }
      }
    } finally {
      over = true
    }
    await talking
    const disconnects = lost
    await honest.stop()
    const { consumed, wrong } = await listener.count()
    const all = (await listener.memory()).heap - first
    const p99 = percentile(durations, 0.99)
    if (done < rounds * PEER_ATTACKS.length) failures.push(`the time was up after ${done}`)
    if (most > MEMORY_MAX) failures.push(`an attack left ${mib(most)}`)
    if (all > ALL_MAX) failures.push(`all attacks left ${mib(all)}`)
    if (highest > PEAK_MAX) failures.push(`an attack took ${mib(highest)} for a moment`)
    if (disconnects > 0) failures.push(`the honest peer was disconnected ${disconnects} times`)
    if (wrong > 0 || consumed !== sent) failures.push(`${consumed} of ${sent} honest messages, ${wrong} not the next`)
    if (!short && p99 > UNAFFECTED) failures.push(`honest messages took ${p99.toFixed(0)} ms at p99`)
    failures.push(...listener.errors.slice(0, 3))
    return {
      passed: failures.length === 0,
      figure: `${done} attacks; one left at most ${mib(most)}, and took ${mib(highest)} with garbage; all left ${mib(all)}; ${sent} confirmed honest messages beside them, p99 ${p99.toFixed(0)} ms, ${disconnects} disconnects`,
      failures: failures.map((failure) => `seed ${seed}: ${failure}`),
    }
  },
}

function mib(bytes: number): string {
  return `${(bytes / MIB).toFixed(1)} MiB`
}
