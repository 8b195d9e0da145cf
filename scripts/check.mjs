// Everything that is not a test: types, style, import rules, unused code, the packages' shape. One line each; all run.
import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const packages = ['packages/wire', 'packages/reconnect', 'packages/node']

const checks = [
  ['types', 'tsc', ['--project', '.']],
  ['style', 'biome', ['check', '.']],
  ['imports', 'depcruise', ['--config', 'dependency-cruiser.mjs', 'packages', 'examples']],
  ['unused code', 'knip', []],
  ['build', 'tsc', ['--build', ...packages]],
  ...packages.flatMap((path) => [
    [`shape of ${path}`, 'publint', ['--strict', path]],
    [`types of ${path}`, 'attw', ['--pack', path, '--profile', 'esm-only', '--no-emoji']],
  ]),
  ['API reference', 'typedoc', ['--emit', 'none', '--treatWarningsAsErrors']],
]

let failed = 0
for (const [name, command, args] of checks) {
  const result = spawnSync(join(root, 'node_modules', '.bin', command), args, { cwd: root, encoding: 'utf8' })
  const ok = result.status === 0
  if (!ok) failed++
  console.log(`${ok ? 'ok    ' : 'FAILED'} ${name}`)
  if (!ok) console.log(`${result.stdout ?? ''}${result.stderr ?? ''}${result.error?.message ?? ''}`)
}
process.exit(failed === 0 ? 0 : 1)
