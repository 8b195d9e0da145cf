import { parseArgs } from 'node:util'
import { CONTENDERS } from './contenders/contenders.ts'
import { WORKS } from './works/works.ts'

/** What the benchmark was asked to do. */
export interface Arguments {
  readonly contenders: readonly string[]
  readonly works: readonly string[]
  readonly sizes: readonly number[]
  readonly runs: number
  readonly output: string
  /** An earlier report to compare with. */
  readonly check: string | undefined
  readonly documents: boolean
  readonly profile: boolean
  readonly smoke: boolean
}

export const USAGE: string = `Usage: npm run bench -- [options]

Measures this library beside others, two programs over 127.0.0.1, and prints a table.

  --only LIST     contenders (${Object.keys(CONTENDERS).join(', ')})
  --work LIST     what is measured (${Object.keys(WORKS).join(', ')})
  --size LIST     bytes of a message, for the rate one way (default: 64,1024,16384,262144,1048576)
  --runs N        runs of each, of which the median counts (default: 3)
  --output FILE   where the report goes, as JSON (default: .report/bench.json)
  --check FILE    compare with an earlier report
  --documents     write the tables and charts into docs/performance.md and README.md; of a whole run only
  --profile       write CPU profiles of both programs into the present directory, for the rates
  --smoke         whether everything works, in seconds; the figures mean nothing
  --help          show this
`

const SIZES = [64, 1024, 16 * 1024, 256 * 1024, 1024 * 1024]

/** The arguments; undefined when only the usage is asked for. @throws Error that names what is wrong with them */
export function readArguments(args: string[]): Arguments | undefined {
  const { values } = parseArgs({
    args,
    options: {
      only: { type: 'string' },
      work: { type: 'string' },
      size: { type: 'string' },
      runs: { type: 'string', default: '3' },
      output: { type: 'string', default: '.report/bench.json' },
      check: { type: 'string' },
      documents: { type: 'boolean', default: false },
      profile: { type: 'boolean', default: false },
      smoke: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const { help, only, work, size, runs, ...rest } = values
  if (help) return undefined
  const whole = only === undefined && work === undefined && size === undefined
  if (rest.documents && (!whole || rest.smoke)) throw new Error('--documents takes a whole run')
  return {
    ...rest,
    check: rest.check,
    contenders: listOf('--only', only, Object.keys(CONTENDERS)),
    works: listOf('--work', work, Object.keys(WORKS)),
    sizes: size === undefined ? SIZES : size.split(',').map((text) => integer('--size', text, 16, 2 ** 20)),
    runs: integer('--runs', runs, 1, 100),
  }
}

function listOf(option: string, text: string | undefined, known: readonly string[]): readonly string[] {
  if (text === undefined) return known
  const names = text.split(',')
  for (const name of names) {
    if (!known.includes(name)) throw new Error(`${option} knows ${known.join(', ')}; got ${JSON.stringify(name)}`)
  }
  return names
}

function integer(option: string, text: string, min: number, max: number): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new Error(`${option} takes integers from ${min} to ${max}, got ${JSON.stringify(text)}`)
  }
  return value
}
