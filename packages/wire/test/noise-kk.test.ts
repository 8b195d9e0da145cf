import { expect, test } from 'vitest'
import { concat } from '../src/bytes.ts'
import { CounterCipher } from '../src/cipher.ts'
import { WireError } from '../src/errors.ts'
import { DhKey } from '../src/identity-keys.ts'
import { NoiseKk } from '../src/noise-kk.ts'
import { bytes, hex } from './support/hex.ts'
import { describePublished } from './support/published.ts'

interface NoiseVector {
  init_prologue: string
  init_static: string
  init_ephemeral: string
  init_remote_static: string
  resp_prologue: string
  resp_static: string
  resp_ephemeral: string
  resp_remote_static: string
  handshake_hash?: string
  messages: { payload: string; ciphertext: string }[]
}

const key = (privateKey: Uint8Array): DhKey => new DhKey(privateKey)

for (const file of ['noise-kk-cacophony.json', 'noise-kk-snow.json']) {
  describePublished<{ vectors: NoiseVector[] }>(file, ({ vectors = [] }) => {
    test('messages, handshake hash and transport, byte by byte', () => {
      expect(vectors).not.toHaveLength(0)
      for (const vector of vectors) {
        const initiator = new NoiseKk({
          initiator: true,
          prologue: bytes(vector.init_prologue),
          s: key(bytes(vector.init_static)),
          e: key(bytes(vector.init_ephemeral)),
          rs: bytes(vector.init_remote_static),
        })
        const responder = new NoiseKk({
          initiator: false,
          prologue: bytes(vector.resp_prologue),
          s: key(bytes(vector.resp_static)),
          e: key(bytes(vector.resp_ephemeral)),
          rs: bytes(vector.resp_remote_static),
        })
        const [first, second, ...transport] = vector.messages as [
          NoiseVector['messages'][0],
          NoiseVector['messages'][0],
          ...NoiseVector['messages'],
        ]

        expect(hex(initiator.writeMessage1(bytes(first.payload)))).toBe(first.ciphertext)
        expect(hex(responder.readMessage1(bytes(first.ciphertext)))).toBe(first.payload)
        expect(hex(responder.writeMessage2(bytes(second.payload)))).toBe(second.ciphertext)
        expect(hex(initiator.readMessage2(bytes(second.ciphertext)))).toBe(second.payload)

        const [a, b] = [initiator.split(), responder.split()]
        expect(hex(a.hash)).toBe(hex(b.hash))
        if (vector.handshake_hash !== undefined) expect(hex(a.hash)).toBe(vector.handshake_hash)
        expect(a.keys.map(hex)).toEqual(b.keys.map(hex))

        const sealers = a.keys.map((k) => new CounterCipher(k))
        const openers = b.keys.map((k) => new CounterCipher(k))
        expect(transport).not.toHaveLength(0)
        transport.forEach(({ payload, ciphertext }, i) => {
          expect(hex(concat(...(sealers[i % 2] as CounterCipher).seal([bytes(payload)])))).toBe(ciphertext)
          expect(hex((openers[i % 2] as CounterCipher).open(bytes(ciphertext)))).toBe(payload)
        })
      }
    })
  })
}

test('a handshake out of turn throws, and leaves nothing usable', () => {
  const s = key(bytes('11'.repeat(32)))
  const rs = key(bytes('22'.repeat(32))).publicKey
  const options = { prologue: new Uint8Array(0), s, e: key(bytes('33'.repeat(32))), rs }
  const initiator = new NoiseKk({ ...options, initiator: true })
  expect(() => initiator.split()).toThrow(WireError)
  expect(() => initiator.readMessage1(new Uint8Array(64))).toThrow(WireError)
  initiator.writeMessage1(new Uint8Array(0))
  expect(() => initiator.writeMessage1(new Uint8Array(0))).toThrow(WireError)
  initiator.destroy()
  expect(() => initiator.readMessage2(new Uint8Array(64))).toThrow(WireError)
})
