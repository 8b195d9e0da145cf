import { spawnSync } from 'node:child_process'
import { existsSync, globSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))
const run = (command: string, args: string[], cwd: string, env: NodeJS.ProcessEnv = process.env): string => {
  const { stdout, stderr, status, error } = spawnSync(command, args, { cwd, encoding: 'utf8', env })
  if (status !== 0)
    throw new Error(`${command} ${args.join(' ')} ended with ${status}\n${stdout}${stderr}${error?.message ?? ''}`)
  return stdout
}

const NAMES = ['wire', 'reconnect', 'node'] as const
const programIn = (readme: string): string =>
  /```(?:ts|js)\n([\s\S]*?)```/.exec(readFileSync(readme, 'utf8'))?.[1] as string

describe('the packages as a stranger gets them', () => {
  let folder = ''
  const tarball = (name: string): string => readdirSync(folder).find((file) => file.includes(`-${name}-`)) as string

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'glueberry-pack-'))
    run(join(root, 'node_modules/.bin/tsc'), ['--build', ...NAMES.map((name) => `packages/${name}`)], root)
    for (const name of NAMES)
      run(join(root, 'node_modules/.bin/pnpm'), ['pack', '--pack-destination', folder], join(root, 'packages', name))
    expect(readdirSync(folder)).toHaveLength(3)
    const { devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
    writeFileSync(
      join(folder, 'package.json'),
      JSON.stringify({
        private: true,
        type: 'module',
        dependencies: Object.fromEntries(NAMES.map((name) => [`@glueberry/${name}`, `file:${tarball(name)}`])),
        devDependencies: { '@types/node': devDependencies['@types/node'] },
      }),
    )
    // npm as a user's shell has it: the settings of the one that runs this test are not theirs.
    const env = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !/^(npm_|pnpm_)/i.test(name) || /registry/i.test(name)),
    )
    run('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts'], folder, env)
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  test.each(NAMES)('the tarball of %s holds the code, its types, its licences and its history', (name) => {
    const files = run('tar', ['-tzf', tarball(name)], folder)
      .trim()
      .split('\n')
      .map((file) => file.replace(/^package\//, ''))
    expect(files).toEqual(
      expect.arrayContaining([
        ...['LICENSE', 'LICENSE-APACHE', 'LICENSE-MIT', 'README.md', 'CHANGELOG.md', 'package.json'],
        ...['dist/index.js', 'dist/index.d.ts', 'src/index.ts'],
      ]),
    )
    const sources = files.flatMap((file) => /^src\/(.*)\.ts$/.exec(file)?.[1] ?? [])
    for (const source of sources) {
      expect(files).toContain(`dist/${source}.js`)
      expect(files).toContain(`dist/${source}.d.ts`)
    }
    const known = /^(LICENSE(-\w+)?|(README|CHANGELOG)\.md|package\.json|src\/.*\.ts|dist\/.*\.(js|d\.ts)(\.map)?)$/
    expect(files.filter((file) => !known.test(file))).toEqual([])
  })

  test.each(NAMES)('npm is told where %s comes from, and its changelog has its version', (name) => {
    const installed = (file: string): string =>
      readFileSync(join(folder, 'node_modules/@glueberry', name, file), 'utf8')
    const manifest = JSON.parse(installed('package.json'))
    expect(manifest).toMatchObject({
      name: `@glueberry/${name}`,
      version: expect.stringMatching(/^0\.\d+\.\d+$/),
      license: 'Apache-2.0 OR MIT',
      repository: {
        type: 'git',
        url: 'git+https://github.com/glueberry/glueberry-ts.git',
        directory: `packages/${name}`,
      },
      homepage: `https://github.com/glueberry/glueberry-ts/tree/main/packages/${name}#readme`,
      bugs: 'https://github.com/glueberry/glueberry-ts/issues',
      keywords: expect.arrayContaining(['glueberry']),
    })
    expect(JSON.stringify(manifest)).not.toContain('workspace:')
    expect(installed('CHANGELOG.md')).toContain(`\n## ${manifest.version}\n`)
    const readme = installed('README.md')
    expect(readme).toContain(`npm install @glueberry/${name}\n`)
    expect(readme).toMatch(/\nLicensed under .*\n$/)
    // npm shows it outside of the repository: links are absolute, and those into the repository exist.
    const links = [...readme.matchAll(/\]\(([^)]*)\)/g)].map(([, link]) => link as string)
    expect(links.filter((link) => !link.startsWith('https://'))).toEqual([])
    const own = links.flatMap((link) => /glueberry-ts\/blob\/main\/([^#]*)/.exec(link)?.[1] ?? [])
    expect(own.length).toBeGreaterThan(3)
    expect(own.filter((path) => !existsSync(join(root, path)))).toEqual([])
  })

  test('the programs of the READMEs run on Node 22 and 24', () => {
    const programs = [
      ['README.md', /^12D3KooW\w+: hello\n$/],
      ['packages/node/README.md', /^12D3KooW\w+: hello\n$/],
      ['packages/reconnect/README.md', /^connected 1\nconnected 2\nconnected 3\n$/],
      ['packages/wire/README.md', /^hello\n$/],
    ] as const
    for (const [node, version] of [
      [process.execPath, /^v24\./],
      [join(root, 'packages/testkit/node_modules/node-22/bin/node'), /^v22\./],
    ] as const) {
      expect(run(node, ['--version'], folder)).toMatch(version)
      for (const [readme, output] of programs) {
        writeFileSync(join(folder, 'program.js'), programIn(join(root, readme)))
        expect(run(node, ['program.js'], folder), readme).toMatch(output)
      }
    }
  })

  describe('TypeScript', () => {
    /** What the compiler says about the program of the README, given these options, with libp2p's own options in it. */
    const compile = (options: object): string[] => {
      const program = `${programIn(join(root, 'packages/node/README.md'))}
import type { Libp2pOptions } from '@glueberry/node'
export const options: Libp2pOptions = { transports: [] }
// @ts-expect-error libp2p's types are known: this is no transport
export const wrong: Libp2pOptions = { transports: [1] }
`
      writeFileSync(join(folder, 'program.ts'), program)
      const compilerOptions = { strict: true, module: 'nodenext', types: ['node'], noEmit: true, ...options }
      writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['program.ts'] }))
      const args = [join(root, 'node_modules/typescript/bin/tsc'), '--project', '.', '--pretty', 'false']
      const { stdout, error } = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8' })
      if (error !== undefined) throw error
      return stdout.trim() === '' ? [] : stdout.trim().split('\n')
    }

    test.each([
      ['skipLibCheck', { skipLibCheck: true }],
      ['skipLibCheck, without the DOM’s types', { skipLibCheck: true, lib: ['es2024', 'esnext.disposable'] }],
      ['every declaration checked', { skipLibCheck: false }],
      [
        'every declaration checked, with the strictest options',
        { skipLibCheck: false, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true },
      ],
      [
        'every declaration checked, for a bundler',
        { skipLibCheck: false, module: 'esnext', moduleResolution: 'bundler' },
      ],
    ])('a program compiles: %s', (_, options) => {
      expect(compile(options)).toEqual([])
    })

    test('without the DOM’s types only libp2p’s declarations lack something, as the README says', () => {
      const lib = ['es2024', 'esnext.disposable']
      const errors = compile({ skipLibCheck: false, lib })
      expect(errors.filter((line) => !/^node_modules\/(?!@glueberry\/)/.test(line))).toEqual([])
      const readme = readFileSync(join(root, 'packages/node/README.md'), 'utf8')
      const missing = new Set(errors.map((line) => /Cannot find name '(\w+)'/.exec(line)?.[1]))
      for (const name of missing) expect(readme).toContain(`\`${name}\``)
      expect(compile({ skipLibCheck: false, lib: [...lib, 'dom'] })).toEqual([])
    })
  })
})

test('what calls itself by a version says the package’s own', async () => {
  const { AGENT } = await import('../packages/node/src/version.ts')
  const { version } = JSON.parse(readFileSync(join(root, 'packages/node/package.json'), 'utf8'))
  expect(AGENT).toBe(`glueberry-ts/${version}`)
})

test('nothing but clock.ts reads time, sets timers or throws dice; and what compares ciphers takes their time', () => {
  const bare =
    /(?<![.\w])(setTimeout|setInterval|setImmediate)\(|Date\.now|Math\.random|performance\.now|AbortSignal\.timeout/
  const files = globSync('packages/{wire,reconnect,node}/src/**/*.ts', { cwd: root }).filter(
    (file) => !file.endsWith('/clock.ts') && !file.endsWith('/aead-node.ts'),
  )
  expect(files.length).toBeGreaterThan(40)
  expect(files.filter((file) => bare.test(readFileSync(join(root, file), 'utf8')))).toEqual([])
})
