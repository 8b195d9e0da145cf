import { fileURLToPath } from 'node:url'
import { chance, FaultProxy, spawnNode } from '@glueberry/testkit'
import type { Correspondence, CorrespondentOptions } from '../children/correspondent.ts'
import type { Row, RowResult } from '../row.ts'

const program = fileURLToPath(new URL('../children/correspondent.ts', import.meta.url))
const NAMES = ['a', 'b', 'c', 'd']

/** Two real processes behind a proxy that cuts their line at random bytes. */
export const cuts: Row = {
  title: 'two real processes, a proxy that cuts at random bytes, also before a session is established',
  wanted: '1,000 cuts, a million messages each way: 0 lost, 0 doubled, 0 out of order',
  async run({ seed, short, budget, progress }): Promise<RowResult> {
    const cutsWanted = short ? 20 : 1000
    const count = short ? 5000 : 250_000 // on each name
    const random = chance(seed)
    const start = (options: CorrespondentOptions) => spawnNode([program, JSON.stringify(options)])
    await using alice = start({ own: 1, other: 2, count, names: NAMES })
    const [, address] = (await alice.line(/^address (.*)$/)) as unknown as [string, string]
    await using proxy = await FaultProxy.to(address)
    // As many bytes between cuts as make a thousand of them fall into the whole correspondence.
    const between = short ? 40_000 : 120_000
    proxy.plan(() =>
      proxy.faults < cutsWanted
        ? { kind: 'cut', after: Math.floor(random() * (random() < 0.2 ? 7000 : between)) }
        : { kind: 'none' },
    )
    await using bob = start({ own: 2, other: 1, address: proxy.address, count, names: NAMES })
    const ticker = setInterval(() => progress(`${proxy.faults} of ${cutsWanted} cuts`), 200)
    try {
      // Who waits for a message that is lost would wait for ever: then both are asked what they have seen so far.
      const programs = [alice, bob]
      const time = Promise.withResolvers<void>()
      const deadline = setTimeout(time.resolve, budget)
      await Promise.race([Promise.all(programs.map((child) => child.line(/^done$/))), time.promise])
      clearTimeout(deadline)
      for (const child of programs) child.process.stdin.end()
      const codes = await Promise.all(programs.map((child) => child.ended))
      const reports = programs.map((child, i) => {
        const json = /^seen (.*)$/m.exec(child.lines.join('\n'))?.[1]
        if (json === undefined) throw new Error(`program ${i} ended with ${codes[i]}: ${child.errorLines.join('\n')}`)
        return JSON.parse(json) as Correspondence
      })
      const failures = reports.flatMap(({ received, wrong, example, undelivered }, i) => {
        const lines: string[] = []
        if (received !== count * NAMES.length)
          lines.push(`${received} of ${count * NAMES.length} messages came to ${i}`)
        if (wrong > 0) lines.push(`${wrong} messages were not the next one at ${i}: ${example}`)
        if (undelivered > 0) lines.push(`${undelivered} were told to be undelivered at ${i}`)
        return lines
      })
      if (codes.some((code) => code !== 0)) failures.push(`the programs ended with ${codes.join(' and ')}`)
      if (proxy.faults < cutsWanted)
        failures.push(`only ${proxy.faults} of ${cutsWanted} cuts fell into the correspondence`)
      const sessions = reports.map((report) => report.sessions).join(' and ')
      return {
        passed: failures.length === 0,
        figure: `${proxy.faults} cuts, ${(count * NAMES.length).toLocaleString('en')} messages each way, ${sessions} sessions: ${failures.length === 0 ? '0 lost, 0 doubled, 0 out of order' : 'not all as it must be'}`,
        failures: failures.map((failure) => `seed ${seed}: ${failure}`),
      }
    } finally {
      clearInterval(ticker)
    }
  },
}
