import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { concat } from '../src/bytes.ts'
import * as wire from '../src/index.ts'
import { hex } from './support/hex.ts'

// docs/protocol.md is what another implementation is written from: its figures are those of the code.

const { dataCipher, encodeDataHeader, encodeOpen, FIN_FRAME, FrameBuffer, FrameType, RecordSealer } = wire
const document = readFileSync(new URL('../../../docs/protocol.md', import.meta.url), 'utf8')

test('the table of constants has the values of the code, and every one that the package exports', () => {
  const table = Object.fromEntries(
    [...document.matchAll(/^\| `([A-Z_]+)`[^|]*\| ([\d,]+) /gm)].map(([, name, value]) => [
      name,
      Number(value?.replaceAll(',', '')),
    ]),
  )
  const exported = Object.entries(wire).filter(([name, value]) => /^[A-Z_]+$/.test(name) && typeof value === 'number')
  expect(exported.length).toBeGreaterThan(5)
  expect(table).toMatchObject(Object.fromEntries(exported))
})

test('the worked example is what the code makes', () => {
  const root = new Uint8Array(32).fill(6)
  const id = Uint8Array.from({ length: 32 }, (_, i) => i)
  const message = new FrameBuffer(64)
  message.append(FrameType.MESSAGE, new TextEncoder().encode('hello'))
  const sealer = new RecordSealer(dataCipher(root, 258, 'chacha20-poly1305'))
  const lines = Object.entries({
    OPEN: encodeOpen({ name: 'chat', firstSequence: 1, redeliveredThrough: 0 }),
    MESSAGE: message.bytes,
    FIN: FIN_FRAME,
  }).flatMap(([name, plaintext]) => [
    [name, hex(plaintext)],
    [`${name} sealed`, hex(concat(...sealer.seal([plaintext])))],
  ])
  const example = [['header', hex(encodeDataHeader(id, 258))], ...lines]
  expect(document).toContain(example.map(([name, bytes]) => `${name?.padEnd(17)}${bytes}`).join('\n'))
})
