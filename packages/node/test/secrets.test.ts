import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import { spawnNode } from '@glueberry/testkit'
import { base58btc } from 'multiformats/bases/base58'
import { expect, test } from 'vitest'

const program = fileURLToPath(new URL('children/secrets.ts', import.meta.url))
/** As the program makes it. */
const seed = Uint8Array.from({ length: 32 }, (_, i) => (i * 37 + 11) & 255)
/** The scalar of the identity's keys: the beginning of the seed's SHA-512, but for its first and last bits (RFC 8032, 5.1.5). */
const scalar = createHash('sha512').update(seed).digest().subarray(0, 32)

/** How bytes may appear in a text, without what is at the ends and depends on what is beside them. */
function forms(secret: Uint8Array): string[] {
  const bytes = Buffer.from(secret).subarray(4, 28)
  return [
    bytes.toString('hex'),
    bytes.toString('hex').toUpperCase(),
    bytes.toString('latin1'),
    ...[0, 1, 2].map((skip) => bytes.subarray(skip, skip + 21).toString('base64')),
    ...[0, 1, 2].map((skip) => bytes.subarray(skip, skip + 21).toString('base64url')),
    base58btc.baseEncode(secret),
    bytes.join(','),
    [...bytes].map((byte, i) => `"${i + 4}":${byte}`).join(','), // JSON of a Uint8Array
    [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' '),
  ]
}

test('no text shows a private key: no log, error, event, inspect or JSON, and no string of the heap', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'glueberry-secrets-'))
  try {
    const snapshot = join(folder, 'heap.heapsnapshot')
    await using child = spawnNode([program, snapshot])
    expect(await child.ended, child.errorLines.join('\n')).toBe(0)
    expect(child.lines.at(-1)).toBe('done')
    // `inspect` sets numbers in columns.
    const output = `${child.lines.join('\n')}\n${child.lines.join('').replace(/\s+/g, '')}`
    const { strings } = JSON.parse(readFileSync(snapshot, 'utf8')) as { strings: string[] }
    expect(output.length).toBeGreaterThan(10_000)
    expect(strings.length).toBeGreaterThan(10_000)
    const heap = strings.join('\n')
    expect(heap).toContain('a handler fails') // it is the heap of that program
    for (const secret of [seed, scalar]) {
      for (const form of forms(secret)) {
        expect(output.includes(form), `${form} was shown`).toBe(false)
        expect(heap.includes(form), `${form} is in the heap`).toBe(false)
      }
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('the forms are those in which a key would be seen', () => {
  for (const text of [
    Buffer.from(seed).toString('hex'),
    Buffer.from(seed).toString('base64'),
    Buffer.concat([Buffer.of(8, 1, 18, 64), seed]).toString('base64'),
    JSON.stringify([...seed]),
    JSON.stringify(seed),
    inspect(seed, { showHidden: true, maxArrayLength: null }).replace(/\s+/g, ''),
    Buffer.from(seed).toString('latin1'),
  ]) {
    expect(
      forms(seed).some((form) => text.includes(form)),
      text,
    ).toBe(true)
  }
})
