// `npm run bench`: this library beside others. `--help` says more.
import { mkdir } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, resolve } from 'node:path'
import { readCommandLine } from '@glueberry/testkit'
import { readArguments, USAGE } from './arguments.ts'
import { compare } from './check.ts'
import { Missing } from './contender.ts'
import { writeDocuments } from './documents.ts'
import {
  type Case,
  type Figures,
  machine,
  nameOfCase,
  type Report,
  readReport,
  summarize,
  writeReport,
} from './results.ts'
import { tables } from './tables.ts'
import { targets } from './targets.ts'
import { FULL, SMOKE } from './works/timing.ts'
import { WORKS, type Work } from './works/works.ts'

const DEFAULTS = { size: 64, names: 1, peers: 1, outstanding: 1 }

const asked = readCommandLine(USAGE, readArguments)
const earlier = asked.check === undefined ? undefined : await readReport(asked.check)

const casesOf = (work: string, contender: string): Case[] =>
  (WORKS[work] as Work).cases(contender, asked.sizes).map((each) => ({ ...DEFAULTS, ...each, work, contender }))
/** Those that are compared stand together: one case with each contender, then the next case. */
const cases: Case[] = asked.works.flatMap((work) => {
  const all = asked.contenders.map((contender) => casesOf(work, contender))
  const most = Math.max(...all.map(({ length }) => length))
  return Array.from({ length: most }, (_, i) => all.flatMap((each) => each.slice(i, i + 1))).flat()
})
const rounds = asked.smoke ? 1 : asked.runs
const measured = new Map<Case, Figures[]>(cases.map((each) => [each, []]))
const missing: Record<string, string> = {}
const failed: string[] = []

const show = (text: string): void => {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`)
  else process.stderr.write(`${text}\n`)
}

// Work after work, and within it A B C A B C …: what the machine does meanwhile falls on all of them.
const total = cases.reduce((sum, { work }) => sum + ((WORKS[work] as Work).once === true ? 1 : rounds), 0)
let done = 0
for (const work of asked.works) {
  for (let round = 0; round < rounds; round++) {
    for (const each of cases) {
      if (each.work !== work) continue
      if (round > 0 && (WORKS[work] as Work).once === true) continue
      show(`${++done} of ${total}: ${nameOfCase(each)}`)
      if (missing[each.contender] !== undefined || failed.includes(nameOfCase(each))) continue
      const profile = asked.profile ? { profile: `${each.work}-${each.contender}-${each.size}` } : {}
      try {
        const figures = await (WORKS[work] as Work).run(each, { ...(asked.smoke ? SMOKE : FULL), ...profile })
        measured.get(each)?.push(figures)
      } catch (error) {
        if (error instanceof Missing) missing[each.contender] = error.message
        else {
          failed.push(nameOfCase(each))
          show(`FAILED ${nameOfCase(each)}: ${(error as Error).message}\n`)
        }
      }
    }
  }
}
if (process.stderr.isTTY) show('')

const require = createRequire(import.meta.url)
const { dependencies: pinned } = require('../package.json') as { dependencies: Record<string, string> }
const report: Report = {
  date: new Date().toISOString().slice(0, 10),
  machine: machine(),
  node: process.version,
  versions: Object.fromEntries(
    ['libp2p', '@hyperswarm/secret-stream', 'protomux', 'zeromq', '@nats-io/transport-node'].map((name) => [
      name,
      pinned[name] as string,
    ]),
  ),
  missing,
  results: cases.flatMap((each) => {
    const runs = measured.get(each) ?? []
    return runs.length === 0 ? [] : [summarize(each, runs)]
  }),
}

await mkdir(dirname(resolve(asked.output)), { recursive: true })
await writeReport(asked.output, report)
console.log(tables(report))
console.log(targets(report))
for (const [contender, why] of Object.entries(missing)) console.log(`left out: ${contender}: ${why}`)
if (earlier !== undefined) console.log(compare(earlier, report).join('\n') || 'Nothing changed by more than a tenth.')
if (asked.documents) await writeDocuments(report)
console.log(`The report is in ${asked.output}.`)
if (failed.length > 0) {
  console.error(`${failed.length} failed: ${failed.join('; ')}`)
  process.exitCode = 1
}
