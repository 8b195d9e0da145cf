import { existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const read = (...path: string[]): string => readFileSync(join(root, ...path), 'utf8')
const documentation = read('docs', 'dependencies.md')

/** Packages that come with a script for their installation: whoever adds one has looked at it. */
const WITH_SCRIPT = ['node', 'zeromq']
/** Of these, the ones whose script is run. */
const RUN = ['node']

test.each(['wire', 'reconnect', 'node'])('every dependency of %s has a line that says why, and no other', (name) => {
  const { dependencies = {} } = JSON.parse(read('packages', name, 'package.json')) as {
    dependencies?: Record<string, string>
  }
  const wanted = Object.entries(dependencies).filter(([, version]) => !version.startsWith('workspace:'))
  for (const [dependency, version] of wanted) expect(version, `${dependency} is pinned`).toMatch(/^\d+\.\d+\.\d+$/)
  const section = documentation.split(/^## /m).find((part) => part.startsWith(`\`@glueberry/${name}\``)) as string
  const lines = [...section.matchAll(/^\| `([^`]+)`/gm)].map(([, dependency]) => dependency)
  expect(lines.sort()).toEqual(wanted.map(([dependency]) => dependency).sort())
})

test('only known packages have a script for their installation, and only those allowed may run it', () => {
  const store = join(root, 'node_modules', '.pnpm')
  const found = new Set<string>()
  for (const entry of readdirSync(store)) {
    const modules = join(store, entry, 'node_modules')
    if (!existsSync(modules)) continue
    for (const path of packagesIn(modules)) {
      const { name, scripts = {} } = JSON.parse(readFileSync(join(path, 'package.json'), 'utf8')) as {
        name: string
        scripts?: Record<string, string>
      }
      const scripted = ['preinstall', 'install', 'postinstall'].some((script) => scripts[script] !== undefined)
      if (scripted || existsSync(join(path, 'binding.gyp'))) found.add(name)
    }
  }
  expect([...found].sort()).toEqual(WITH_SCRIPT)
  const [, allowed = ''] = /^onlyBuiltDependencies:\n((?: {2}- .*\n?)+)/m.exec(read('pnpm-workspace.yaml')) ?? []
  expect([...allowed.matchAll(/- (\S+)/g)].map(([, name]) => name)).toEqual(RUN)
  for (const name of WITH_SCRIPT) expect(documentation).toContain(`\`${name}\``)
})

test('every package of the lockfile is the registry’s, with its checksum', () => {
  const lockfile = read('pnpm-lock.yaml')
  const packages = lockfile.slice(lockfile.indexOf('\npackages:\n'), lockfile.indexOf('\nsnapshots:\n'))
  const resolutions = [...packages.matchAll(/^ {4}resolution: (.*)$/gm)].map(([, resolution]) => resolution as string)
  expect(resolutions.length).toBeGreaterThan(100)
  expect(resolutions.filter((resolution) => !/^\{integrity: sha512-[\w+/=]+\}$/.test(resolution))).toEqual([])
})

/** The packages that lie there themselves, without the links to others. */
function* packagesIn(modules: string): Generator<string> {
  for (const name of readdirSync(modules)) {
    const path = join(modules, name)
    if (lstatSync(path).isSymbolicLink()) continue
    if (name.startsWith('@')) yield* packagesIn(path)
    else if (existsSync(join(path, 'package.json'))) yield path
  }
}
