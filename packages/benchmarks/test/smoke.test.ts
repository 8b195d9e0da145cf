import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { spawnNode } from '@glueberry/testkit'
import { expect, test } from 'vitest'
import { compare } from '../src/check.ts'
import { CONTENDERS } from '../src/contenders/contenders.ts'
import type { Report } from '../src/results.ts'
import { WORKS } from '../src/works/works.ts'

// Whether the benchmark works, not how fast anything is.

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))

async function bench(...args: string[]): Promise<{ code: unknown; report: Report; lines: readonly string[] }> {
  const directory = await mkdtemp(join(tmpdir(), 'glueberry-bench-'))
  try {
    const output = join(directory, 'bench.json')
    await using child = spawnNode([main, '--smoke', '--output', output, ...args])
    const code = await child.ended
    return { code, report: JSON.parse(await readFile(output, 'utf8')), lines: [...child.lines, ...child.errorLines] }
  } finally {
    await rm(directory, { recursive: true })
  }
}

test('every contender sends, and its messages arrive in order; who cannot run here is named', async () => {
  const { code, report, lines } = await bench('--work', 'rate', '--size', '64')
  expect(code, lines.join('\n')).toBe(0)
  const measured = report.results.map(({ contender }) => contender)
  expect([...measured, ...Object.keys(report.missing)].sort()).toEqual(Object.keys(CONTENDERS).sort())
  for (const contender of Object.keys(report.missing)) {
    expect(['zeromq', 'nats']).toContain(contender) // what needs a binary or a server
    expect(lines.join('\n')).toContain(`left out: ${contender}`)
  }
})

test('everything that is measured of this library can be', async () => {
  const works = Object.keys(WORKS).filter((work) => work !== 'rate')
  const { code, report, lines } = await bench('--only', 'node', '--work', works.join(','))
  expect(code, lines.join('\n')).toBe(0)
  expect([...new Set(report.results.map(({ work }) => work))]).toEqual(works)
  for (const { figures } of report.results) {
    for (const [name, value] of Object.entries(figures)) expect(value, name).toEqual(expect.any(Number))
  }
})

test('a comparison tells what has changed by more than a tenth, beside raw libp2p', () => {
  const report = (ours: number, raw: number): Report => ({
    date: '2026-01-01',
    machine: '',
    node: '',
    versions: {},
    missing: {},
    results: Object.entries({ node: ours, libp2p: raw }).map(([contender, perSecond]) => ({
      ...{ work: 'rate', contender, size: 64, names: 1, peers: 1, outstanding: 1 },
      figures: { perSecond },
      runs: [],
    })),
  })
  expect(compare(report(1000, 100), report(1050, 100))).toEqual([])
  // A machine that is twice as fast changes no ratio; its own figure is told.
  expect(compare(report(1000, 100), report(2000, 200))).toEqual([
    'rate · libp2p · 64 B · perSecond: 100 → 200 (+100 %)',
  ])
  expect(compare(report(1000, 100), report(800, 100))).toEqual([
    'rate · node · 64 B · perSecond: 10 → 8 × raw libp2p (-20 %)',
  ])
})

test('wrong arguments are named', async () => {
  for (const [args, text] of [
    [['--only', 'nobody'], '--only knows node'],
    [['--size', '0.5'], '--size takes integers from 16 to 1048576, got "0.5"'],
    [['--work', ''], '--work knows rate'],
    [['--documents'], '--documents takes a whole run'],
  ] as const) {
    await using child = spawnNode([main, '--smoke', ...args])
    expect(await child.ended).toBe(2)
    expect(child.errorLines.join('\n')).toContain(text)
  }
})
