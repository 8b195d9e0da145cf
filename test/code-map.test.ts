import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))

test('the code map names every file of the node, and no other', () => {
  const document = readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8')
  const [, map = ''] = /\*\*`packages\/node\/src`\*\*([\s\S]*?)\*\*Others\*\*/.exec(document) ?? []
  const named: string[] = []
  let folder = ''
  for (const line of map.split('\n')) {
    folder = /^`([\w-]+\/)`/.exec(line)?.[1] ?? folder
    // Files stand before the colon; behind it they are only mentioned.
    const [files = ''] = line.startsWith('- ') ? line.split('`: ') : line.includes('`: `') ? [line.split('`: ')[1]] : []
    for (const [, file] of `${files}\``.matchAll(/`([\w/.-]+\.ts)`/g)) named.push(folder + file)
  }
  const source = join(root, 'packages/node/src')
  const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))
  expect(named.sort()).toEqual(files.sort())
})
