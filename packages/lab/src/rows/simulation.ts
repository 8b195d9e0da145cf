import { availableParallelism } from 'node:os'
import { HelperThread } from '../helper-thread.ts'
import type { Row, RowResult } from '../row.ts'
import type { Outcome } from '../simulation/simulation.ts'

const worker = new URL('../simulation/worker.ts', import.meta.url)
const SEEDS = 2000
const SHORT_SEEDS = 6
/** Of these the history is run twice: it must be the same. */
const TWICE_EVERY = 50
const FASTER = 1000

/** Histories of whole nodes on simulated time, a seed each, on two cores. */
export const simulation: Row = {
  title: `${SEEDS.toLocaleString('en')} histories of 2 to 5 nodes in memory, on simulated time: cuts, one-way blocks, delays, kills, restarts, blocked consumers, double dials, renewals; then peace`,
  wanted: `everything delivered once and in order, or told; all quiet, no timer left; ≥ ${FASTER} × real time; the same seed the same history`,
  async run({ seed, short, budget, progress }): Promise<RowResult> {
    const count = short ? SHORT_SEEDS : SEEDS
    const begun = performance.now()
    const failures: string[] = []
    let next = 0
    let done = 0
    let simulated = 0
    let busy = 0
    let delivered = 0
    let givenUp = 0
    let repeated = 0
    const outOfTime = (): boolean => performance.now() - begun > budget

    const work = async (): Promise<void> => {
      await using thread = new HelperThread<number, Outcome & { readonly took: number }>(worker)
      while (next < count && !outOfTime()) {
        const which = seed + next++
        const outcome = await thread.ask(which)
        if (outcome.failure !== undefined) failures.push(`seed ${which}: ${outcome.failure}`)
        if (which % TWICE_EVERY === 0 || short) {
          repeated++
          if ((await thread.ask(which)).trace !== outcome.trace)
            failures.push(`seed ${which}: another history the second time`)
        }
        done++
        simulated += outcome.simulated
        busy += outcome.took
        delivered += outcome.delivered
        givenUp += outcome.givenUp
        progress(`${done} of ${count} histories, ${failures.length} failed`)
      }
    }
    await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, work))
    const speed = Math.round(simulated / busy)
    if (done < count) failures.push(`the time was up after ${done} of ${count} histories`)
    if (!short && speed < FASTER) failures.push(`only ${speed} × real time`)
    return {
      passed: failures.length === 0,
      figure: `${done.toLocaleString('en')} histories from seed ${seed}, ${(simulated / 3_600_000).toFixed(0)} h of simulated time, ${speed.toLocaleString('en')} × real time on each core; ${delivered.toLocaleString('en')} messages, ${givenUp.toLocaleString('en')} told to be undelivered; ${repeated} run twice`,
      failures,
    }
  },
}
