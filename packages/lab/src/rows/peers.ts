import { Identity, Node, type PeerId } from '@glueberry/node'
import { percentile, RawPeer } from '@glueberry/testkit'
import { ended, PEER_ATTACKS, type PeerAttack } from '../attacks/peers.ts'
import { Listener } from '../listener.ts'
import type { Row, RowResult } from '../row.ts'

const MIB = 1024 * 1024
/** What one attack may leave: what is kept for one peer (`flow.peerBudget`), and something for all else; in bytes. */
const MEMORY_MAX = (64 + 32) * MIB
/** What all may leave: what is kept for all peers (`flow.nodeBudget`), and the same. */
const ALL_MAX = (512 + 32) * MIB
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
    const count = (short ? 1 : 10) * PEER_ATTACKS.length
    const begun = performance.now()
    await using listener = await Listener.start(100)
    await using honest = await HonestPeer.start(listener)
    const failures: string[] = []
    const first = (await listener.memory()).heap
    let last = first
    let most = 0
    let highest = 0
    let done = 0
    for (; done < count && performance.now() - begun < budget; done++) {
      const attack = PEER_ATTACKS[done % PEER_ATTACKS.length] as PeerAttack
      progress(`${done} of ${count}: ${attack.name}`)
      await launch(attack, listener).catch(({ message }) => failures.push(`${attack.name}: ${message}`))
      const { heap, peak } = await listener.memory()
      most = Math.max(most, heap - last)
      highest = Math.max(highest, peak - last)
      last = heap
    }
    const { sent, disconnects, p99 } = await honest.finish()
    const { consumed, wrong } = await listener.count()
    const all = (await listener.memory()).heap - first
    if (done < count) failures.push(`the time was up after ${done}`)
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

/** Runs one attack. Rejects when it does not end as it must. */
async function launch({ outcome, run }: PeerAttack, listener: Listener): Promise<void> {
  await using peer = new RawPeer()
  await run(peer, listener.target)
  if (outcome === 'harmless') {
    if ((await listener.honestDial(PATIENCE)) === undefined) throw new Error('a stranger could not connect')
  } else if (outcome === 'slowed') {
    const { sent, bytes } = await listener.flood(peer.identity.peerId)
    if (sent === 0 || bytes > MEMORY_MAX) throw new Error(`${bytes} bytes are kept for it`)
  } else {
    await ended(peer, outcome)
  }
}

/** A node that sends a message, waits until it is consumed, and sends the next one, until it has finished. */
class HonestPeer implements AsyncDisposable {
  readonly #node = new Node({ identity: Identity.generate(), streams: ['x'] })
  readonly #durations: number[] = []
  #sent = 0
  #disconnects = 0
  #over = false
  #talking: Promise<void> = Promise.resolve()

  static async start(listener: Listener): Promise<HonestPeer> {
    const honest = new HonestPeer()
    await honest.#node.start()
    await honest.#node.connect(listener.address)
    honest.#node.on('disconnected', () => honest.#disconnects++)
    honest.#talking = honest.#talk(listener.target.peerId)
    honest.#talking.catch(() => {}) // `finish` tells
    return honest
  }

  async finish(): Promise<{ readonly sent: number; readonly disconnects: number; readonly p99: number }> {
    this.#over = true
    await this.#talking
    return { sent: this.#sent, disconnects: this.#disconnects, p99: percentile(this.#durations, 0.99) }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over = true
    await this.#node.stop()
  }

  async #talk(to: PeerId): Promise<void> {
    while (!this.#over) {
      const at = performance.now()
      await this.#node.send(to, 'x', String(++this.#sent), { confirm: true })
      this.#durations.push(performance.now() - at)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
}

function mib(bytes: number): string {
  return `${(bytes / MIB).toFixed(1)} MiB`
}
