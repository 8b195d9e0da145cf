import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { spawnNode } from '@glueberry/testkit'
import { expect, test } from 'vitest'
import { ROWS } from '../src/rows/rows.ts'

/** Only what hangs takes so long, in milliseconds: vitest's own limit is for tests of one thing. */
const HANGS = 600_000
const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))

test.for(Object.keys(ROWS))('the short form of the row %s', { timeout: HANGS }, async (row, { skip }) => {
  const directory = await mkdtemp(join(tmpdir(), 'glueberry-lab-'))
  try {
    const output = join(directory, 'lab.json')
    await using child = spawnNode([main, '--short', '--row', row, '--output', output])
    const code = await child.ended
    const said = [...child.lines, ...child.errorLines].join('\n')
    const { results } = JSON.parse(await readFile(output, 'utf8').catch(() => expect.fail(said)))
    // On a machine that cannot run it: told as skipped, with the reason.
    skip(results[0]?.result.notRun !== undefined, results[0]?.result.notRun)
    expect(code, said).toBe(0)
    expect(results).toMatchObject([{ name: row, result: { passed: true, failures: [] } }])
  } finally {
    await rm(directory, { recursive: true })
  }
})

test('wrong arguments are named', async () => {
  for (const [args, text] of [
    [['--row', 'nothing'], '--row knows simulation'],
    [['--row', 'toString'], '--row knows simulation'],
    [['--minutes', '0'], '--minutes takes a number above 0'],
    [['--seed', 'x'], '--seed takes an integer'],
    [['--document', '--short'], '--document takes every row'],
  ] as const) {
    await using child = spawnNode([main, ...args])
    expect(await child.ended).toBe(2)
    expect(child.errorLines.join('\n')).toContain(text)
  }
})
