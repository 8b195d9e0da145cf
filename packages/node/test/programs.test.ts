import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { runProgram } from './support/run-program.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const scratch = fileURLToPath(new URL('.programs', import.meta.url)) // inside the package, so that it can import itself
const programs = join(root, '..', 'shared', 'design', 'programs')

const present = existsSync(programs)
describe.skipIf(!present)(
  `programs as users write them${present ? '' : ' (skipped: not beside this checkout in shared/design)'}`,
  () => {
    test('type-check unchanged, with the mistakes that must not compile', () => {
      rmSync(scratch, { recursive: true, force: true })
      mkdirSync(scratch, { recursive: true })
      cpSync(programs, join(scratch, 'programs'), { recursive: true })
      writeFileSync(
        join(scratch, 'tsconfig.json'),
        JSON.stringify({
          extends: '../../../../tsconfig.base.json',
          compilerOptions: { composite: false, isolatedDeclarations: false, noEmit: true, noUnusedLocals: false },
          include: ['programs'],
        }),
      )
      expect(readdirSync(programs).length).toBeGreaterThanOrEqual(12)
      const { stdout, status } = spawnSync(join(root, 'node_modules/.bin/tsc'), ['--project', scratch], {
        encoding: 'utf8',
      })
      rmSync(scratch, { recursive: true, force: true })
      expect(stdout).toBe('')
      expect(status).toBe(0)
    })
  },
)

test('the README’s program runs as pasted', async () => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8')
  const code = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] as string
  expect(code.split('\n').filter((line) => line.trim() !== '').length).toBeLessThanOrEqual(16)
  expect(await runProgram('readme', code)).toEqual({
    code: 0,
    lines: [expect.stringMatching(/^12D3KooW\w+: hello$/)],
    errors: [],
  })
})

const guide = readFileSync(join(root, 'docs/guide.md'), 'utf8')
const guidePrograms = [...guide.matchAll(/^## (.*)$|```ts\n([\s\S]*?)```\n\n```text\n([\s\S]*?)```/gm)].reduce<{
  section: string
  programs: [string, string, string][]
}>(
  ({ section, programs }, [, heading, code, printed]) =>
    heading === undefined
      ? { section, programs: [...programs, [`${section}, ${programs.length + 1}`, code as string, printed as string]] }
      : { section: heading, programs },
  { section: '', programs: [] },
).programs

test('every program of the guide is followed by what it prints', () => {
  expect(guidePrograms.length).toBeGreaterThan(5)
  expect([...guide.matchAll(/```(?:ts|js)\n/g)]).toHaveLength(guidePrograms.length)
})

test.each(guidePrograms)('the guide’s program (%s) prints what the guide says', async (name, code, printed) => {
  const { code: ended, lines, errors } = await runProgram(`guide-${name.replace(/\W+/g, '-')}`, code)
  expect([ended, lines.join('\n'), errors]).toEqual([0, printed.trimEnd(), []])
})
