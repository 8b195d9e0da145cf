import { fileURLToPath } from 'node:url'
import { spawnNode } from '@glueberry/testkit'
import type { SoakerOptions, SoakRound } from '../children/soaker.ts'
import type { Row, RowResult } from '../row.ts'

const program = fileURLToPath(new URL('../children/soaker.ts', import.meta.url))
const [MESSAGES, RECONNECTS, RESTARTS, ROUNDS] = [10_000_000, 2000, 200, 1000]
/** A round is ten thousand messages and two reconnects. */
const SLOPE_MAX = 100
/** How often what it holds is measured. */
const MEASURES = 20
/** So much of it passes until every cache is full. */
const WARM = 0.5
/** So large a part of the rounds that count is looked at together, at their beginning and at their end, for what stays. */
const PART = 0.25

/** Much of everything, in one process that must not grow by it. */
export const soak: Row = {
  title: `${MESSAGES.toLocaleString('en')} messages, ${RECONNECTS.toLocaleString('en')} reconnects, ${RESTARTS} stops and starts, in ${ROUNDS.toLocaleString('en')} rounds`,
  wanted: `heap slope (without V8's own compiled code) < ${SLOPE_MAX} bytes a round, no handle or listener more`,
  async run({ seed, short, budget, progress }): Promise<RowResult> {
    const rounds = short ? 20 : ROUNDS
    const options: SoakerOptions = {
      seed,
      rounds,
      messages: short ? 1000 : MESSAGES / ROUNDS,
      cuts: RECONNECTS / ROUNDS,
      restartEvery: ROUNDS / RESTARTS,
      measureEvery: short ? rounds / 4 : ROUNDS / MEASURES,
    }
    await using child = spawnNode([program, JSON.stringify(options)])
    const read = (): SoakRound[] =>
      child.lines.filter((line) => line.startsWith('round ')).map((line) => JSON.parse(line.slice(6)))
    const ticker = setInterval(() => progress(`${read().length} of ${rounds} rounds`), 500)
    const deadline = setTimeout(() => child.kill('SIGKILL'), budget)
    const code = await child.ended
    clearInterval(ticker)
    clearTimeout(deadline)
    const results = read()
    const failures: string[] = []
    if (code !== 0) failures.push(`it ended with ${code}: ${child.errorLines.join(' ')}`)
    if (results.length < rounds) failures.push(`the time was up after ${results.length} rounds`)
    const later = results.slice(Math.floor(results.length * WARM))
    const slope = medianSlope(later.flatMap(({ heap }) => heap ?? [])) / options.measureEvery
    const last = later.at(-1)
    const some = Math.max(1, Math.floor(later.length * PART))
    // What is just being closed is counted in one round and not in the next: the least of some rounds is what stays.
    const least = (some: readonly SoakRound[], of: (round: SoakRound) => number): number => Math.min(...some.map(of))
    const more = (of: (round: SoakRound) => number): number =>
      least(later.slice(-some), of) - least(later.slice(0, some), of)
    if (!short && slope >= SLOPE_MAX) failures.push(`the heap grows by ${slope.toFixed(0)} bytes a round`)
    if (more(({ handles }) => handles) > 0) failures.push(`${more(({ handles }) => handles)} handles more`)
    if (more(({ listeners }) => listeners) > 0) failures.push(`${more(({ listeners }) => listeners)} listeners more`)
    if ((last?.wrong ?? 1) > 0) failures.push(`${last?.wrong} messages were not the next one`)
    const sum = (of: (round: SoakRound) => number): string =>
      results.reduce((total, round) => total + of(round), 0).toLocaleString('en')
    return {
      passed: failures.length === 0,
      figure: `${sum(({ messages }) => messages)} messages, ${sum(({ reconnects }) => reconnects)} reconnects, ${last?.restarts ?? 0} stops and starts; heap ${slope.toFixed(0)} bytes a round (median slope of the second half), ${more(({ handles }) => handles)} handles and ${more(({ listeners }) => listeners)} listeners more`,
      failures: failures.map((failure) => `seed ${seed}: ${failure}`),
    }
  },
}

/** The median of the slopes between values half the length apart (Theil and Sen): single outliers do not move it. */
function medianSlope(values: readonly number[]): number {
  const half = Math.floor(values.length / 2)
  const slopes = values.slice(half).map((value, i) => (value - (values[i] as number)) / half)
  return slopes.sort((a, b) => a - b)[Math.floor(slopes.length / 2)] ?? 0
}
