import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Identity } from '../src/index.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'glueberry-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

test('a seed always gives the same identity; a generated one is new every time', () => {
  // RFC 8032, section 7.1, first test.
  const seed = Buffer.from('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60', 'hex')
  const identity = Identity.fromSeed(seed)
  expect(Buffer.from(identity.publicKey).toString('hex')).toBe(
    'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
  )
  expect(identity.peerId).toMatch(/^12D3KooW/)
  expect(Identity.generate().peerId).not.toBe(Identity.generate().peerId)
  identity.publicKey.fill(0)
  expect(identity.publicKey[0]).toBe(0xd7) // a copy was handed out
  for (const bad of [new Uint8Array(31), 'x'.repeat(32), undefined]) {
    expect(() => Identity.fromSeed(bad as never)).toThrow(expect.objectContaining({ code: 'INVALID_IDENTITY' }))
  }
})

test('a file is made when missing, with mode 600, and read back; two at once get the same', async () => {
  const path = join(folder, 'node.key')
  const [first, second] = await Promise.all([Identity.loadOrCreate(path), Identity.loadOrCreate(path)])
  expect(first.peerId).toBe(second.peerId)
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  expect((await Identity.loadOrCreate(path)).peerId).toBe(first.peerId)
  expect(await readdir(folder)).toEqual(['node.key']) // no temporary file is left
})

test('a file that others can read is refused, saying so and what to do', async () => {
  const path = join(folder, 'node.key')
  await Identity.loadOrCreate(path)
  await chmod(path, 0o644)
  await expect(Identity.loadOrCreate(path)).rejects.toMatchObject({
    code: 'INVALID_IDENTITY',
    message: expect.stringContaining('mode 644'),
    hint: `chmod 600 ${path}`,
  })
})

test.each([
  '',
  'hello',
  'glueberry identity 1\n00\n',
  `glueberry identity 1\n${'zz'.repeat(32)}\n`,
  `glueberry identity 2\n${'00'.repeat(32)}\n`,
])('a file with the content %j is refused and left as it is', async (content) => {
  const path = join(folder, 'node.key')
  await writeFile(path, content, { mode: 0o600 })
  await expect(Identity.loadOrCreate(path)).rejects.toMatchObject({
    code: 'INVALID_IDENTITY',
    message: expect.stringContaining('does not hold an identity'),
  })
  expect(await readFile(path, 'utf8')).toBe(content)
})

test('a folder, or a path that cannot be made, is refused with a word', async () => {
  for (const path of [folder, join(folder, 'missing', 'node.key')]) {
    await expect(Identity.loadOrCreate(path)).rejects.toMatchObject({
      code: 'INVALID_IDENTITY',
      message: expect.stringContaining(path),
    })
  }
})

test('an identity never shows its private part', () => {
  const seed = new Uint8Array(32).fill(0xab)
  const identity = Identity.fromSeed(seed)
  const shown = `${inspect(identity, { depth: 9, showHidden: true })} ${JSON.stringify(identity)} ${String(identity)}`
  expect(shown).toContain(identity.peerId)
  expect(shown).not.toMatch(/abab|171, 171/i)
})
