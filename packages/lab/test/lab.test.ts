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

test.each(Object.keys(ROWS))(
  'the short form of the row %s',
  async (row) => {
    const directory = await mkdtemp(join(tmpdir(), 'glueberry-lab-'))
    try {
      const output = join(directory, 'lab.json')
      await using child = spawnNode([main, '--short', '--row', row, '--output', output])
      const code = await child.ended
      expect(code, [...child.lines, ...child.errorLines].join('\n')).toBe(0)
      const { results } = JSON.parse(await readFile(output, 'utf8'))
      expect(results).toMatchObject([{ name: row, result: { passed: true, failures: [] } }])
    } finally {
      await rm(directory, { recursive: true })
    }
  },
  HANGS,
)

test('wrong arguments are named', async () => {
  for (const [args, text] of [
    [['--row', 'nothing'], '--row knows simulation'],
    [['--minutes', '0'], '--minutes takes a number above 0'],
    [['--seed', 'x'], '--seed takes an integer'],
    [['--document', '--short'], '--document takes every row'],
  ] as const) {
    await using child = spawnNode([main, ...args])
    expect(await child.ended).toBe(2)
    expect(child.errorLines.join('\n')).toContain(text)
  }
})
