import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { CipherName } from '../src/aead.ts'
import { createAead as nobleAead } from '../src/aead-noble.ts'
import { createAead as nodeAead } from '../src/aead-node.ts'
import { concat } from '../src/bytes.ts'
import { AES_COUNTER_MAX, COUNTER_MAX, CounterCipher } from '../src/cipher.ts'
import { controlCipher, dataCipher, RecordOpener, RecordSealer } from '../src/record.ts'
import { hex } from './support/hex.ts'

const key = (): Uint8Array => new Uint8Array(32).fill(7)

test.each(['chacha20-poly1305', 'aes-256-gcm'] as const)(
  'Node and browser seal the same bytes and open each other’s with %s',
  (name) => {
    const input = fc.record({
      key: fc.uint8Array({ minLength: 32, maxLength: 32 }),
      nonce: fc.uint8Array({ minLength: 12, maxLength: 12 }),
      aad: fc.uint8Array({ maxLength: 40 }),
      parts: fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 4 }),
    })
    fc.assert(
      fc.property(input, ({ key, nonce, aad, parts }) => {
        const [node, noble] = [nodeAead(key, name), nobleAead(key, name)]
        const sealed = concat(...node.seal(nonce, aad, parts))
        expect(hex(concat(...noble.seal(nonce, aad, parts)))).toBe(hex(sealed))
        const plaintext = hex(concat(...parts))
        for (const aead of [node, noble]) expect(hex(aead.open(nonce, aad, sealed) as Uint8Array)).toBe(plaintext)
      }),
      { numRuns: 500 },
    )
  },
)

test('no nonce is used twice: the same plaintext never gives the same bytes', () => {
  const cipher = new CounterCipher(key())
  const sealed = new Set(Array.from({ length: 1000 }, () => hex(concat(...cipher.seal([new Uint8Array(8)])))))
  expect(sealed.size).toBe(1000)
  expect(cipher.counter).toBe(1000)
})

test('the nonce is 4 zero bytes and the counter, little-endian, over 32 bits too', () => {
  const at = 2 ** 32 + 5
  const nonce = Uint8Array.of(0, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0)
  const expected = concat(...nodeAead(key(), 'chacha20-poly1305').seal(nonce, new Uint8Array(0), [new Uint8Array(3)]))
  expect(hex(concat(...new CounterCipher(key(), at).seal([new Uint8Array(3)])))).toBe(hex(expected))
})

test.each([
  ['chacha20-poly1305', COUNTER_MAX],
  ['aes-256-gcm', AES_COUNTER_MAX],
] as const)('%s refuses to go past the end of its counter', (name, max) => {
  const cipher = new CounterCipher(key(), max - 1, name)
  cipher.seal([new Uint8Array(1)])
  for (let i = 0; i < 3; i++) {
    expect(() => cipher.seal([new Uint8Array(1)])).toThrow(expect.objectContaining({ code: 'NONCE_EXHAUSTED' }))
  }
  expect(cipher.counter).toBe(max)
})

test('the key that was given is zeroed, and a destroyed cipher throws', () => {
  const secret = key()
  const cipher = new CounterCipher(secret)
  expect(secret).toEqual(new Uint8Array(32))
  cipher.destroy()
  cipher.destroy()
  expect(() => cipher.seal([new Uint8Array(1)])).toThrow(expect.objectContaining({ code: 'DESTROYED' }))
  expect(() => cipher.open(new Uint8Array(20))).toThrow(expect.objectContaining({ code: 'DESTROYED' }))
})

test('records open in order only: a replayed, reordered or changed one does not', () => {
  const [sealer, opener] = [
    new RecordSealer(dataCipher(key(), 3, 'chacha20-poly1305')),
    new RecordOpener(dataCipher(key(), 3, 'chacha20-poly1305')),
  ]
  const [first, second] = [0, 1].map((n) => concat(...sealer.seal([Uint8Array.of(n)]))) as [Uint8Array, Uint8Array]
  const broken = expect.objectContaining({ code: 'AUTHENTICATION' })
  expect(() => opener.open(second)).toThrow(broken)
  for (let i = 0; i < first.length; i++) {
    const changed = Uint8Array.from(first, (byte, at) => (at === i ? byte ^ 1 : byte))
    expect(() => opener.open(changed), `byte ${i}`).toThrow(broken)
  }
  expect(opener.open(first)).toEqual(Uint8Array.of(0))
  expect(() => opener.open(first)).toThrow(broken)
  expect(opener.open(second)).toEqual(Uint8Array.of(1))
})

test('every stream number and the control stream have keys of their own', () => {
  const seal = (cipher: CounterCipher): string => hex(concat(...cipher.seal([new Uint8Array(4)])))
  const sealed = [
    controlCipher(key(), 'chacha20-poly1305'),
    ...[0, 1, 255, 256, 2 ** 40].map((n) => dataCipher(key(), n, 'chacha20-poly1305')),
  ].map(seal)
  expect(new Set(sealed).size).toBe(sealed.length)
})

test('a record of nothing, or of more than fits, is refused', () => {
  const sealer = new RecordSealer(controlCipher(key(), 'chacha20-poly1305'))
  for (const size of [0, 65_490]) {
    expect(() => sealer.seal([new Uint8Array(size)])).toThrow(expect.objectContaining({ code: 'TOO_LARGE' }))
  }
  expect(concat(...sealer.seal([new Uint8Array(65_489)]))).toHaveLength(65_507)
})

test('the keys of one root are others for each cipher', () => {
  for (const make of [
    (name: CipherName) => controlCipher(key(), name),
    (name: CipherName) => dataCipher(key(), 1, name),
  ]) {
    const sealed = concat(...make('aes-256-gcm').seal([new Uint8Array(16)]))
    expect(() => make('chacha20-poly1305').open(sealed)).toThrow(expect.objectContaining({ code: 'AUTHENTICATION' }))
    expect(make('aes-256-gcm').open(sealed)).toEqual(new Uint8Array(16))
  }
})
