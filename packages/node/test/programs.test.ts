import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { spawnNode } from '@glueberry/testkit'
import { describe, expect, test } from 'vitest'

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
  const folder = `${scratch}-readme`
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'readme.ts'), code)
  await using child = spawnNode([join(folder, 'readme.ts')])
  const code0 = await child.ended
  rmSync(folder, { recursive: true, force: true })
  expect([code0, child.errorLines]).toEqual([0, []])
  expect(child.lines).toEqual([expect.stringMatching(/^12D3KooW\w+: hello$/)])
})
