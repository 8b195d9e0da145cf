import { spawnSync } from 'node:child_process'
import { globSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))
const run = (command: string, args: string[], cwd: string, env: NodeJS.ProcessEnv = process.env): string => {
  const { stdout, stderr, status, error } = spawnSync(command, args, { cwd, encoding: 'utf8', env })
  if (status !== 0)
    throw new Error(`${command} ${args.join(' ')} ended with ${status}\n${stdout}${stderr}${error?.message ?? ''}`)
  return stdout
}

test('packed tarballs install in an empty folder and run on Node 22 and 24', () => {
  const folder = mkdtempSync(join(tmpdir(), 'glueberry-pack-'))
  try {
    run(join(root, 'node_modules/.bin/tsc'), ['--build', 'packages/wire', 'packages/reconnect', 'packages/node'], root)
    for (const name of ['wire', 'reconnect', 'node'])
      run(join(root, 'node_modules/.bin/pnpm'), ['pack', '--pack-destination', folder], join(root, 'packages', name))
    const tarballs = readdirSync(folder)
    expect(tarballs).toHaveLength(3)
    const program = /```ts\n([\s\S]*?)```/.exec(readFileSync(join(root, 'README.md'), 'utf8'))?.[1] as string
    writeFileSync(join(folder, 'program.mjs'), program)
    writeFileSync(
      join(folder, 'package.json'),
      JSON.stringify({
        private: true,
        dependencies: Object.fromEntries(
          tarballs.map((file) => [`@glueberry/${/wire|reconnect/.exec(file)?.[0] ?? 'node'}`, `file:${file}`]),
        ),
      }),
    )
    // npm as a user's shell has it: the settings of the one that runs this test are not theirs.
    const env = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !/^(npm_|pnpm_)/i.test(name) || /registry/i.test(name)),
    )
    run('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts'], folder, env)
    for (const [node, version] of [
      [process.execPath, /^v24\./],
      [join(root, 'packages/testkit/node_modules/node-22/bin/node'), /^v22\./],
    ] as const) {
      expect(run(node, ['--version'], folder)).toMatch(version)
      expect(run(node, ['program.mjs'], folder)).toMatch(/^12D3KooW\w+: hello\n$/)
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test('what calls itself by a version says the package’s own', async () => {
  const { AGENT } = await import('../packages/node/src/version.ts')
  const { version } = JSON.parse(readFileSync(join(root, 'packages/node/package.json'), 'utf8'))
  expect(AGENT).toBe(`glueberry-ts/${version}`)
})

test('nothing but clock.ts reads time, sets timers or throws dice', () => {
  const bare =
    /(?<![.\w])(setTimeout|setInterval|setImmediate)\(|Date\.now|Math\.random|performance\.now|AbortSignal\.timeout/
  const files = globSync('packages/{wire,reconnect,node}/src/**/*.ts', { cwd: root }).filter(
    (file) => !file.endsWith('/clock.ts'),
  )
  expect(files.length).toBeGreaterThan(40)
  expect(files.filter((file) => bare.test(readFileSync(join(root, file), 'utf8')))).toEqual([])
})
