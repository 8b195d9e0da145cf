import { execFileSync } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { writeBetween } from '@glueberry/testkit'
import type { RowResult } from './row.ts'

const root = new URL('../../../', import.meta.url)
const path = (name: string): string => fileURLToPath(new URL(name, root))

/** A row that was run, and what it came to. */
export interface Scored {
  readonly name: string
  readonly title: string
  readonly wanted: string
  readonly result: RowResult
}

export type Verdict = 'passed' | 'FAILED' | 'NOT RUN'

export function verdictOf({ notRun, passed }: RowResult): Verdict {
  if (notRun !== undefined) return 'NOT RUN'
  return passed ? 'passed' : 'FAILED'
}

/** What is run: its commit, and whether anything was changed since. */
export function commitHere(): string {
  return execFileSync('git', ['describe', '--always', '--dirty'], { cwd: path('.'), encoding: 'utf8' }).trim()
}

/** Writes the run into docs/reliability.md. */
export async function writeScoreboard(commit: string, seed: number, rows: readonly Scored[]): Promise<void> {
  const day = new Date().toISOString().slice(0, 10)
  const where = `Run of ${day} with \`npm run lab -- --document\` at commit ${commit}: ${availableParallelism()} cores, Node ${process.version.slice(1)}, seed ${seed}.`
  const cell = (text: string): string => text.replaceAll('|', '\\|')
  const lines = rows.map(({ name, title, wanted, result }) => {
    const seen = [result.notRun ?? result.figure, ...result.failures.slice(0, 3)].join('; ')
    return `| \`${name}\` | ${cell(title)} | ${cell(wanted)} | ${verdictOf(result)}: ${cell(seen)} |`
  })
  const table = ['| row | what is done | what must be | what was seen |', '| --- | --- | --- | --- |', ...lines].join(
    '\n',
  )
  const [begin, end] = ['<!-- lab: written by npm run lab -- --document -->', '<!-- /lab -->']
  await writeBetween(path('docs/reliability.md'), begin, end, `${where}\n\n${table}\n`)
  execFileSync(
    process.execPath,
    [path('node_modules/@biomejs/biome/bin/biome'), 'format', '--write', 'docs/reliability.md'],
    {
      cwd: path('.'),
      stdio: 'ignore',
    },
  )
}
