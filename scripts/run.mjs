// `npm run chat`, `npm test`, …: needs only the machine's Node ≥ 18 and npm. Installs what is missing, exactly as the
// lockfile has it, and then runs everything on the Node that this workspace pins.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const modules = join(root, 'node_modules')
const marker = join(modules, '.glueberry-installed')
const pinnedNode = join(modules, 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node')

const [task, ...args] = process.argv.slice(2)

/** What an installation is made from: when it changes, the next run installs again. */
function fingerprint() {
  const hash = createHash('sha256')
  const manifests = ['package.json', 'pnpm-workspace.yaml', 'pnpm-lock.yaml']
  for (const folder of ['packages', 'examples']) {
    for (const name of readdirSync(join(root, folder)).sort()) manifests.push(join(folder, name, 'package.json'))
  }
  for (const file of manifests) if (existsSync(join(root, file))) hash.update(readFileSync(join(root, file)))
  return hash.digest('hex')
}

const installed = () => existsSync(marker) && readFileSync(marker, 'utf8') === fingerprint() && existsSync(pinnedNode)

function install() {
  const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  console.error(`Installing the workspace once (${packageManager}) …`)
  const npx = process.platform === 'win32' ? 'npx.cmd' : 'npx'
  const result = spawnSync(npx, ['--yes', packageManager, 'install', '--frozen-lockfile', '--reporter=append-only'], {
    cwd: root,
    // Shown only when it fails: it warns of the machine's Node, which is not the one that anything runs on.
    encoding: 'utf8',
    shell: process.platform === 'win32',
  })
  if (result.status !== 0) {
    console.error(`${result.stdout ?? ''}${result.stderr ?? ''}${result.error?.message ?? ''}`)
    console.error('The installation failed: see above. It needs the npm registry.')
    process.exit(result.status ?? 1)
  }
  writeFileSync(marker, fingerprint())
}

/** Two terminals that start at once on a fresh clone: one installs, the other waits for it. */
async function installOnce() {
  if (installed()) return
  mkdirSync(modules, { recursive: true })
  const lock = join(modules, '.glueberry-installing')
  for (let waited = false; ; waited = true) {
    try {
      writeFileSync(lock, String(process.pid), { flag: 'wx' })
      break
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
      if (!waited) console.error('Another terminal is installing: waiting for it …')
      if (isRunning(holder(lock))) await new Promise((resolve) => setTimeout(resolve, 200))
      else rmSync(lock, { force: true })
      if (installed()) return
    }
  }
  try {
    if (!installed()) install()
  } finally {
    rmSync(lock, { force: true })
  }
}

/** Who installs; 0, this process's own group, when it has just finished or has not yet written its number. */
function holder(lock) {
  try {
    return Number(readFileSync(lock, 'utf8'))
  } catch {
    return 0
  }
}

function isRunning(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}

/** Runs a program to its end; signals are its own business, and its exit is ours. */
function run(file, fileArgs, env = {}) {
  return new Promise((resolve) => {
    const child = spawn(file, fileArgs, {
      stdio: 'inherit',
      env: { ...process.env, PATH: `${join(modules, '.bin')}:${process.env.PATH}`, ...env },
    })
    // Ctrl+C reaches the child by the terminal already; what is sent to us alone is passed on.
    const pass = (signal) => child.kill(signal)
    const ignore = () => {}
    process.on('SIGINT', process.stdin.isTTY ? ignore : pass)
    process.on('SIGTERM', pass)
    process.on('SIGHUP', pass)
    child.on('error', (error) => {
      console.error(error.message)
      resolve(1)
    })
    child.on('exit', (code, signal) => resolve(code ?? 128 + (constants.signals[signal] ?? 0)))
  })
}

const source = '--conditions=@glueberry/source'
const here = (...path) => join(root, ...path)
const bin = (name) => here('node_modules', '.bin', name)

const tasks = {
  chat: () => run(pinnedNode, [source, here('examples', 'chat', 'src', 'main.ts'), ...args]),
  reconnection: () => run(pinnedNode, [source, here('examples', 'reconnection-monitor', 'src', 'main.ts'), ...args]),
  patterns() {
    const folder = here('examples', 'patterns', 'src')
    const names = readdirSync(folder)
      .map((file) => file.replace(/\.ts$/, ''))
      .filter((name) => name !== 'nodes' && name !== 'circuit-breaker') // modules, not programs
    const [name, ...rest] = args
    if (names.includes(name)) return run(pinnedNode, [source, join(folder, `${name}.ts`), ...rest])
    console.error(`usage: npm run patterns -- ${names.join('|')}`)
    return 2
  },
  fuzz: () => run(pinnedNode, [source, here('packages', 'wire', 'test', 'fuzz.ts'), ...args]),
  bench: () => run(pinnedNode, [source, here('packages', 'benchmarks', 'src', 'main.ts'), ...args]),
  lab: () => run(pinnedNode, [source, here('packages', 'lab', 'src', 'main.ts'), ...args]),
  check: () => run(pinnedNode, [here('scripts', 'check.mjs')]),
  'libp2p-next': () => run(pinnedNode, [here('scripts', 'libp2p-next.mjs'), ...args]),
  changeset: () => run(bin('changeset'), args),
  async test() {
    // With arguments only the tests that they name, without the checks around them.
    if (args.length > 0) return run(bin('vitest'), ['run', '--root', root, ...args])
    rmSync(here('.report'), { recursive: true, force: true })
    const checks = await tasks.check()
    const tests = await run(bin('vitest'), ['run', '--root', root])
    return checks || tests
  },
}

if (!(task in tasks)) {
  console.error(`usage: node scripts/run.mjs ${Object.keys(tasks).join('|')} [arguments]`)
  process.exit(2)
}
await installOnce()
process.exitCode = await tasks[task]()
