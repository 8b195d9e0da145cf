import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'vite'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { concat } from '../src/bytes.ts'
import * as source from '../src/index.ts'

// What a browser's bundler makes of this package, run here: it must hold no Node module, and speak the same bytes.
let folder: string
let code: string
let bundled: typeof source

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'glueberry-browser-'))
  const result = await build({
    configFile: false,
    logLevel: 'silent',
    resolve: { conditions: ['@glueberry/source', 'browser', 'import', 'default'] },
    build: {
      outDir: folder,
      minify: false,
      target: 'es2023',
      lib: { entry: fileURLToPath(new URL('../src/index.ts', import.meta.url)), formats: ['es'], fileName: 'wire' },
    },
  })
  const [output] = [result].flat() as { output: { type: string; code: string; fileName: string }[] }[]
  const chunk = output?.output.find(({ type }) => type === 'chunk') as { code: string; fileName: string }
  code = chunk.code
  bundled = (await import(pathToFileURL(join(folder, chunk.fileName)).href)) as typeof source
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('a browser build holds no Node module', () => {
  expect(code).not.toMatch(/^\s*import[\s{*'"]/m) // everything is inside
  expect(code).not.toMatch(/createCipheriv|node:/)
  expect(code.length).toBeGreaterThan(10_000)
})

test('a browser and Node agree on keys and read each other’s records', () => {
  const [a, b] = [
    new bundled.IdentityKeys(new Uint8Array(32).fill(1)),
    new source.IdentityKeys(new Uint8Array(32).fill(2)),
  ]
  const initiator = new bundled.Initiator({ identity: a, remotePublicKey: b.publicKey, network: 'n' })
  const responder = new source.Responder({ identity: b, remotePublicKey: a.publicKey })
  responder.readMessage1(initiator.writeMessage1())
  const { message, secrets: theirs } = responder.accept()
  const answer = initiator.readMessage2(message)
  if (!('secrets' in answer)) throw new Error('refused')
  const text = new TextEncoder().encode('from a browser')
  const sealed = new bundled.RecordSealer(bundled.dataCipher(answer.secrets.sendRoot, 1, 'chacha20-poly1305')).seal([
    text,
  ])
  expect(
    new source.RecordOpener(source.dataCipher(theirs.receiveRoot, 1, 'chacha20-poly1305')).open(concat(...sealed)),
  ).toEqual(text)
  const back = new source.RecordSealer(source.dataCipher(theirs.sendRoot, 2, 'chacha20-poly1305')).seal([text])
  expect(
    new bundled.RecordOpener(bundled.dataCipher(answer.secrets.receiveRoot, 2, 'chacha20-poly1305')).open(
      concat(...back),
    ),
  ).toEqual(text)
})
