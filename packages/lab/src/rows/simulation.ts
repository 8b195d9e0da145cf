import { availableParallelism } from 'node:os'
import { HelperThread } from '../helper-thread.ts'
import type { Row, RowResult } from '../row.ts'
import type { Profile } from '../simulation/program.ts'
import type { Outcome } from '../simulation/simulation.ts'
import type { HistoryRequest } from '../simulation/worker.ts'

const worker = new URL('../simulation/worker.ts', import.meta.url)
/** How many histories of each profile. */
const HISTORIES: Readonly<Record<Profile, number>> = { memory: 2000, libp2p: 500 }
const SHORT_HISTORIES: Readonly<Record<Profile, number>> = { memory: 6, libp2p: 4 }
/** Of these the history is run twice: it must be the same. */
const TWICE_EVERY = 50
const FASTER = 1000

/** What the histories of one profile came to, together. */
class Tally {
  done = 0
  simulated = 0
  busy = 0
  delivered = 0
  givenUp = 0
  repeated = 0

  add({ simulated, took, delivered, givenUp }: Outcome & { readonly took: number }): void {
    this.done++
    this.simulated += simulated
    this.busy += took
    this.delivered += delivered
    this.givenUp += givenUp
  }

  get speed(): number {
    return Math.round(this.simulated / this.busy)
  }

  figure(profile: Profile): string {
    const { done, simulated, speed, delivered, givenUp, repeated } = this
    const text = (count: number): string => count.toLocaleString('en')
    return `${profile}: ${text(done)} histories, ${(simulated / 3_600_000).toFixed(0)} h of simulated time, ${text(speed)} × real time on each core; ${text(delivered)} messages, ${text(givenUp)} told to be undelivered; ${repeated} run twice`
  }
}

/** Histories of whole nodes on simulated time, a seed each, on two cores. */
export const simulation: Row = {
  title: `${HISTORIES.memory.toLocaleString('en')} histories of 2 to 5 nodes on streams in memory, and ${HISTORIES.libp2p} with libp2p's Noise and yamux on lines in memory, on simulated time: cuts, one-way blocks, delays, kills, restarts, blocked consumers, double dials, renewals; then peace`,
  wanted: `everything delivered once and in order, or told; all quiet, no timer left; ≥ ${FASTER} × real time; the same seed the same history`,
  async run({ seed, short, budget, progress }): Promise<RowResult> {
    const counts = short ? SHORT_HISTORIES : HISTORIES
    const profiles = Object.keys(counts) as Profile[]
    const histories = profiles.flatMap((profile) =>
      Array.from({ length: counts[profile] }, (_, i): HistoryRequest => ({ seed: seed + i, profile })),
    )
    const total = histories.length
    const tallies = { memory: new Tally(), libp2p: new Tally() }
    const begun = performance.now()
    const failures: string[] = []

    const work = async (): Promise<void> => {
      await using thread = new HelperThread<HistoryRequest, Outcome & { readonly took: number }>(worker)
      while (performance.now() - begun < budget) {
        const history = histories.shift()
        if (history === undefined) return
        const name = `${history.profile}, seed ${history.seed}`
        const tally = tallies[history.profile]
        const outcome = await thread.ask(history)
        if (outcome.failure !== undefined) failures.push(`${name}: ${outcome.failure}`)
        if (history.seed % TWICE_EVERY === 0 || short) {
          tally.repeated++
          if ((await thread.ask(history)).trace !== outcome.trace)
            failures.push(`${name}: another history the second time`)
        }
        tally.add(outcome)
        progress(`${total - histories.length} of ${total} histories, ${failures.length} failed`)
      }
    }
    await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, work))
    if (histories.length > 0) failures.push(`the time was up before ${histories.length} of ${total} histories`)
    for (const profile of profiles) {
      const { speed } = tallies[profile]
      if (!short && speed < FASTER) failures.push(`${profile}: only ${speed} × real time`)
    }
    return {
      passed: failures.length === 0,
      figure: `from seed ${seed}, ${profiles.map((profile) => tallies[profile].figure(profile)).join('; ')}`,
      failures,
    }
  },
}
