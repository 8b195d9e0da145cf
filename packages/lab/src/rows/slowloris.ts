import { fileURLToPath } from 'node:url'
import { spawnNode } from '@glueberry/testkit'
import type { IdlerOptions, Stage } from '../children/idler.ts'
import { Listener } from '../listener.ts'
import type { Row, RowResult } from '../row.ts'

const program = fileURLToPath(new URL('../children/idler.ts', import.meta.url))
const SOCKETS = 200
const WITHIN = 500
/** What takes longer has failed, in the short form too, where a busy machine may take its time. */
const PATIENCE = 5000
const PART = 0.99
const STAGES: readonly Stage[] = ['TCP', 'multistream', 'Noise', 'half a Noise message', 'KK', 'application handshake']

/** Idle connections from as many addresses, opened again as soon as they are closed, while strangers dial from others. */
export const slowloris: Row = {
  title: `${SOCKETS} idle connections from ${SOCKETS} loopback addresses, held at each stage: ${STAGES.join(', ')}; and at all of them`,
  wanted: `≥ ${100 * PART} % of honest dials within ${WITHIN} ms`,
  async run({ short, budget, progress }): Promise<RowResult> {
    const held: readonly (readonly Stage[])[] = short ? [STAGES] : [...STAGES.map((stage) => [stage]), STAGES]
    const dialsEach = short ? 20 : 60
    const begun = performance.now()
    const failures: string[] = []
    let dials = 0
    let late = 0
    let idle = 0
    for (const stages of held) {
      const name = stages.length === 1 ? stages[0] : 'all stages'
      await using listener = await Listener.start()
      await listener.honestDial(10_000) // everything is loaded
      const options: IdlerOptions = { address: listener.address, count: SOCKETS, stages }
      await using idler = spawnNode([program, JSON.stringify(options)])
      const opened = async (): Promise<number> => {
        idler.lines.length = 0
        idler.write('?\n')
        return Number((await idler.line(/^opened (\d+)$/))[1])
      }
      while ((await opened()) < SOCKETS / 2); // refused ones do not count: by now no place is free
      for (let i = 0; i < dialsEach && (budget === undefined || performance.now() - begun < budget); i++) {
        // Each from an address that the node has never seen: known ones would come first.
        const duration = await listener.honestDial(PATIENCE, `127.2.0.${i + 1}`)
        dials++
        if (duration === undefined || (!short && duration > WITHIN)) {
          late++
          failures.push(`beside ${name}: ${duration === undefined ? 'refused' : `${duration.toFixed(0)} ms`}`)
        }
        progress(`${dials} of ${held.length * dialsEach} honest dials, ${late} late; held at ${name}`)
      }
      idle += await opened()
    }
    const part = 1 - late / dials
    if (dials < held.length * dialsEach) failures.push(`the time was up after ${dials} dials`)
    const passed = part >= PART && dials === held.length * dialsEach
    return {
      passed,
      figure: `${dials} honest dials beside ${SOCKETS} idle connections (${idle.toLocaleString('en')} opened in all): ${(100 * part).toFixed(1)} % within ${short ? PATIENCE : WITHIN} ms`,
      failures: passed ? [] : failures,
    }
  },
}
