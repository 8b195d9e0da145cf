// `npm run lab`: the scoreboard of what is promised. `--help` says more.
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { readCommandLine } from '@glueberry/testkit'
import { readArguments, repeats, USAGE } from './arguments.ts'
import type { Row, RowResult } from './row.ts'
import { ROWS } from './rows/rows.ts'
import { commitHere, type Scored, verdictOf, writeScoreboard } from './scoreboard.ts'
import { within } from './within.ts'

const asked = readCommandLine(USAGE, readArguments)

/** A row that takes so many times its budget hangs. */
const HANGS = 3
/** Progress in a file is a line now and then, in milliseconds. */
const LINE_EVERY = 10_000

let shown = performance.now()
const show = (text: string): void => {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`)
  else if (performance.now() - shown > LINE_EVERY && text !== '') {
    shown = performance.now()
    console.error(text)
  }
}

const results: Scored[] = []
const commit = asked.document ? commitHere() : ''
const budget = asked.minutes * 60_000
for (const name of asked.rows) {
  const row = await (ROWS[name] as () => Promise<Row>)()
  const options = { budget, seed: asked.seed, short: asked.short, progress: (text: string) => show(`${name}: ${text}`) }
  const result = await within(HANGS * budget, 'it hangs', row.run(options)).catch(
    (error: unknown): RowResult => ({
      passed: false,
      figure: 'it broke',
      failures: [error instanceof Error ? (error.stack ?? error.message) : String(error)],
    }),
  )
  show('')
  results.push({ name, title: row.title, wanted: row.wanted, result })
  console.log(`${verdictOf(result).padEnd(8)}${name}: ${result.notRun ?? result.figure}`)
  for (const failure of result.failures.slice(0, 10)) console.log(`        ${failure}`)
  if (verdictOf(result) === 'FAILED') console.log(`        repeat it: npm run lab -- ${repeats(name, asked)}`)
  // After each, so that a run that is ended leaves what it has seen.
  await mkdir(dirname(resolve(asked.output)), { recursive: true })
  await writeFile(asked.output, `${JSON.stringify({ seed: asked.seed, node: process.version, results }, null, 2)}\n`)
}
if (asked.document) await writeScoreboard(commit, asked.seed, results)
console.log(`The results are in ${asked.output}.`)
// What hangs is left behind.
process.exit(results.every(({ result }) => result.passed) ? 0 : 1)
