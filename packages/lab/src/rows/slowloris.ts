import { fileURLToPath } from 'node:url'
import { percentile, spawnNode } from '@glueberry/testkit'
import type { IdlerOptions, Stage } from '../children/idler.ts'
import { Listener } from '../listener.ts'
import type { Row, RowResult } from '../row.ts'

const program = fileURLToPath(new URL('../children/idler.ts', import.meta.url))
const SOCKETS = 200
/** Places for connections that are not yet established (`limits.pendingConnections`), and how many of them must be taken. */
const [PLACES, FULL] = [64, 0.75]
const WITHIN = 500
/** What takes longer has failed, in the short form too, where a busy machine may take its time. */
const PATIENCE = 60_000
const PART = 0.99
const STAGES: readonly Stage[] = ['TCP', 'multistream', 'Noise', 'half a Noise message', 'KK', 'before READY']

/** Idle connections from as many addresses, opened again as soon as they are closed, while strangers dial from others. */
export const slowloris: Row = {
  title: `${SOCKETS} loopback addresses that hold idle connections, and open each again 100 ms after it was closed, at each stage: ${STAGES.join(', ')}; and at all of them`,
  wanted: `≥ ${100 * PART} % of honest dials within ${WITHIN} ms`,
  async run({ short, budget, progress }): Promise<RowResult> {
    const stages: readonly (readonly Stage[])[] = short ? [STAGES] : [...STAGES.map((stage) => [stage]), STAGES]
    const dialsEach = short ? 20 : 60
    const begun = performance.now()
    const failures: string[] = []
    let dials = 0
    let late = 0
    let opened = 0
    const held: number[] = []
    for (const some of stages) {
      const name = some.length === 1 ? some[0] : 'all stages'
      await using listener = await Listener.start()
      await listener.honestDial(PATIENCE) // everything is loaded
      const options: IdlerOptions = { address: listener.address, count: SOCKETS, stages: some }
      await using idler = spawnNode([program, JSON.stringify(options)])
      const holds = async (): Promise<{ readonly now: number; readonly inAll: number }> => {
        idler.lines.length = 0
        idler.write('?\n')
        const [, now, inAll] = await idler.line(/^holds (\d+) of (\d+)$/)
        return { now: Number(now), inAll: Number(inAll) }
      }
      // By then no place is free: whoever is let in from now on takes one of another.
      while ((await holds()).now < PLACES * FULL);
      for (let i = 0; i < dialsEach && performance.now() - begun < budget; i++) {
        // Each from an address that the node has never seen: known ones would come first.
        const duration = await listener.honestDial(PATIENCE, `127.2.0.${i + 1}`)
        dials++
        held.push((await holds()).now)
        if (duration === undefined || (!short && duration > WITHIN)) {
          late++
          failures.push(`beside ${name}: ${duration === undefined ? 'refused' : `${duration.toFixed(0)} ms`}`)
        }
        progress(`${dials} of ${stages.length * dialsEach} honest dials, ${late} late; held at ${name}`)
      }
      opened += (await holds()).inAll
    }
    const part = 1 - late / dials
    if (dials < stages.length * dialsEach) failures.push(`the time was up after ${dials} dials`)
    const holding = percentile(held, 0.5)
    if (holding < PLACES * FULL) failures.push(`only ${holding} connections were held`)
    const passed = part >= PART && dials === stages.length * dialsEach && holding >= PLACES * FULL
    return {
      passed,
      figure: `${dials} honest dials beside ${SOCKETS} origins that hold ${holding} idle connections (${opened.toLocaleString('en')} opened in all): ${(100 * part).toFixed(1)} % within ${short ? PATIENCE : WITHIN} ms`,
      failures: passed ? [] : failures,
    }
  },
}
