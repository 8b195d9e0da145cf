import { parseArgs } from 'node:util'
import { ROWS } from './rows/rows.ts'

/** What the laboratory was asked to do. */
export interface Arguments {
  readonly rows: readonly string[]
  readonly minutes: number
  readonly seed: number
  readonly short: boolean
  readonly output: string
  readonly document: boolean
}

export const USAGE: string = `Usage: npm run lab -- [options]

Causes faults, for real and in simulation, and says whether what is promised held.

  --row NAME      only this row; may be given again (${Object.keys(ROWS).join(', ')})
  --minutes N     how long a row may take that repeats something (default: 10): what is not done by then has failed,
                  what only lasts lasts no longer, and what hangs is given up after three times as long
  --seed N        chance begins here (default: another one each time)
  --short         a short form of each row, as the test command runs it
  --output FILE   where the results go, as JSON (default: .report/lab.json)
  --document      write the table into docs/reliability.md; only with every row in its long form
  --help          show this
`

/** The arguments; undefined when only the usage is asked for. @throws Error that names what is wrong with them */
export function readArguments(args: string[]): Arguments | undefined {
  const { values } = parseArgs({
    args,
    options: {
      row: { type: 'string', multiple: true },
      minutes: { type: 'string', default: '10' },
      seed: { type: 'string' },
      short: { type: 'boolean', default: false },
      output: { type: 'string', default: '.report/lab.json' },
      document: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const { help, row, short, output, document } = values
  if (help) return undefined
  for (const name of row ?? []) {
    if (!Object.hasOwn(ROWS, name))
      throw new Error(`--row knows ${Object.keys(ROWS).join(', ')}; got ${JSON.stringify(name)}`)
  }
  if (document && (short || row !== undefined)) throw new Error('--document takes every row, in its long form')
  const minutes = Number(values.minutes)
  if (document && minutes < 10) throw new Error('--document takes at least the usual 10 minutes')
  if (!(minutes > 0)) throw new Error(`--minutes takes a number above 0, got ${JSON.stringify(values.minutes)}`)
  const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed)
  if (!Number.isInteger(seed) || seed < 0) {
    throw new Error(`--seed takes an integer of at least 0, got ${JSON.stringify(values.seed)}`)
  }
  return { rows: row ?? Object.keys(ROWS), minutes, seed, short, output, document }
}

/** The arguments that run one of the rows again, with the same faults. */
export function repeats(row: string, { seed, minutes, short }: Arguments): string {
  return `--row ${row} --seed ${seed} --minutes ${minutes}${short ? ' --short' : ''}`
}
