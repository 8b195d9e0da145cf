// `npm run libp2p-next`: the tests against the newest versions of libp2p's packages, in a copy of this checkout. Says which
// versions they are, whether the types fit, which tests fail, and so what an upgrade would cost.
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const copy = mkdtempSync(join(tmpdir(), 'glueberry-libp2p-next-'))
const args = process.argv.slice(2)
const PACKAGES = ['libp2p', '@libp2p/*', '@chainsafe/libp2p-*', '@multiformats/multiaddr']

/** Runs a command in the copy, with its output; returns whether it succeeded. */
function run(command, args) {
  console.log(`> ${command} ${args.join(' ')}`)
  return spawnSync(command, args, { cwd: copy, stdio: 'inherit' }).status === 0
}

/** The versions of those packages that a checkout depends on. */
function versions(folder) {
  const { dependencies, devDependencies } = JSON.parse(readFileSync(join(folder, 'packages/node/package.json'), 'utf8'))
  return Object.fromEntries(
    Object.entries({ ...dependencies, ...devDependencies }).filter(([name]) => /libp2p|multiaddr$/.test(name)),
  )
}

try {
  const { stdout } = spawnSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8' })
  for (const file of stdout.split('\0').filter(Boolean)) cpSync(join(root, file), join(copy, file))
  const before = versions(copy)
  const pnpm = (...args) => run('npx', ['--yes', packageManager, ...args])
  if (!pnpm('--recursive', 'update', '--latest', '--silent', ...PACKAGES)) process.exit(1)
  for (const [name, version] of Object.entries(versions(copy))) {
    console.log(`${name}: ${before[name]}${before[name] === version ? ', the newest' : ` → ${version}`}`)
  }
  const types = pnpm('exec', 'tsc', '--project', '.')
  const tests = pnpm('exec', 'vitest', 'run', ...(args.length === 0 ? ['packages/node'] : args))
  console.log(`types: ${types ? 'fit' : 'do not fit'}; tests: ${tests ? 'passed' : 'failed'}`)
  process.exitCode = types && tests ? 0 : 1
} finally {
  rmSync(copy, { recursive: true, force: true })
}
