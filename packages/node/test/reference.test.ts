import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { EVENT_TYPES } from '../src/events/events.ts'
import { RANGES } from '../src/options/settings.ts'
import { runProgram } from './support/run-program.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const text = readFileSync(join(root, 'docs/reference.md'), 'utf8')

/** The rows of the table below a heading, cell by cell. */
function table(heading: string): string[][] {
  const section = text.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? ''
  const lines = section.split('\n').filter((line) => line.startsWith('| `'))
  return lines.map((line) =>
    line
      .slice(1, -1)
      .split(' | ')
      .map((cell) => cell.trim()),
  )
}

const UNITS: Readonly<Record<string, number>> = {
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  ms: 1,
  s: 1000,
  min: 60_000,
  h: 3_600_000,
  year: 365 * 24 * 3_600_000,
}

/** What a cell such as `8 MiB` or `10 min` says, in bytes or milliseconds. */
function amount(cell: string): number {
  const [number, unit] = cell.split(' ') as [string, string?]
  return Number(number.replaceAll(',', '')) * (unit === undefined ? 1 : (UNITS[unit] ?? Number.NaN))
}

test('every integer option is in the table, with its default and range, and no other', () => {
  const rows = table('Options').filter(
    ([, , range]) => / to \d/.test(range as string) && !/characters/.test(range as string),
  )
  const documented = rows
    .map(([name, standard, range]) => [
      (name as string).slice(1, -1),
      amount(standard as string),
      ...(range as string).split(' to ').map(amount),
    ])
    .filter(([name]) => name !== 'reconnect.factor' && name !== 'reconnect.jitter') // no integers
  const actual = Object.entries(RANGES).flatMap(([group, options]) =>
    Object.entries(options as Record<string, readonly number[]>).map(([name, range]) => [`${group}.${name}`, ...range]),
  )
  expect(documented.sort()).toEqual(actual.sort())
})

test('every error code is in the table, and no other', () => {
  const source = readFileSync(join(root, 'packages/node/src/errors.ts'), 'utf8')
  const codes = Array.from(source.matchAll(/^ {2}\| '([A-Z_]+)'/gm), ([, code]) => code)
  expect(table('Error codes').map(([code]) => code?.slice(1, -1))).toEqual(codes)
})

test('every event is in the table, and no other', () => {
  expect(table('Events').map(([type]) => type?.slice(1, -1))).toEqual([...EVENT_TYPES])
})

test('request and reply by hand runs as it is shown', async () => {
  const code = /## Request and reply[\s\S]*?```ts\n([\s\S]*?)```/.exec(text)?.[1] as string
  const { code: ended, lines, errors } = await runProgram('reference', code)
  expect([ended, lines, errors]).toEqual([0, ['HELLO'], []])
})
