import { expect, test } from 'vitest'
import { encodeCbor } from '../src/cbor.ts'
import { decodeControl, encodeControl } from '../src/index.ts'
import { controlMessages } from './support/samples.ts'

const refused = (code: string) => expect.objectContaining({ name: 'WireError', code })
const raw = (type: number, body: unknown): Uint8Array => Uint8Array.from([type, ...encodeCbor(body)])
const setup = {
  instance: new Uint8Array(16),
  ended: [],
  agent: 'a',
  streams: ['x'],
  largestMessage: 1,
  heartbeat: 1,
  features: [],
}

test.each(controlMessages)('$type: there and back', (message) => {
  expect(decodeControl(encodeControl(message))).toEqual(message)
})

test('unknown fields are ignored, unknown types from 128 on too, below it they are an error', () => {
  expect(decodeControl(raw(1, { ...setup, later: { deep: [1] } }))).toMatchObject({ type: 'setup', streams: ['x'] })
  expect(decodeControl(Uint8Array.of(200, 0xff, 0xff))).toEqual({ type: 'unknown', number: 200 })
  for (const type of [0, 11, 127]) expect(() => decodeControl(raw(type, null))).toThrow(refused('MALFORMED'))
})

test.each([
  ['an instance of 15 bytes', { ...setup, instance: new Uint8Array(15) }, 'MALFORMED'],
  ['an instance that is a text', { ...setup, instance: 'x'.repeat(16) }, 'MALFORMED'],
  ['a missing field', { ...setup, heartbeat: undefined }, 'MALFORMED'],
  ['a negative number', { ...setup, heartbeat: -1 }, 'MALFORMED'],
  ['a fraction', { ...setup, heartbeat: 1.5 }, 'MALFORMED'],
  ['9 ended sessions', { ...setup, ended: Array.from({ length: 9 }, () => new Uint8Array(32)) }, 'TOO_LARGE'],
  ['65 names', { ...setup, streams: Array.from({ length: 65 }, (_, i) => `n${i}`) }, 'TOO_LARGE'],
  ['a name of 65 characters', { ...setup, streams: ['x'.repeat(65)] }, 'TOO_LARGE'],
  ['an empty name', { ...setup, streams: [''] }, 'MALFORMED'],
  ['a name with a slash', { ...setup, streams: ['a/b'] }, 'MALFORMED'],
  ['a list instead of a map', [setup], 'MALFORMED'],
])('SETUP with %s is refused', (_, body, code) => {
  const { heartbeat, ...rest } = body as typeof setup
  expect(() => decodeControl(raw(1, heartbeat === undefined && !Array.isArray(body) ? rest : body))).toThrow(
    refused(code),
  )
})

const ready = { memory: new Uint8Array(8), pool: 65_536, positions: {} }

test('READY without failures, as earlier versions send it, has none', () => {
  expect(decodeControl(raw(3, ready))).toMatchObject({ type: 'ready', failed: new Map() })
})

test.each([
  [
    'READY with 17 failures of a name',
    3,
    { ...ready, failed: { x: Array.from({ length: 17 }, () => 1) } },
    'TOO_LARGE',
  ],
  ['READY with a failure that is no number', 3, { ...ready, failed: { x: ['1'] } }, 'MALFORMED'],
  ['FAILED with nothing', 128, [], 'MALFORMED'],
  ['FAILED with half a pair', 128, ['x'], 'MALFORMED'],
  ['FAILED with 65 messages', 128, Array.from({ length: 65 }, (_, i) => ['x', i]).flat(), 'TOO_LARGE'],
  ['FAILED of a name with a slash', 128, ['a/b', 1], 'MALFORMED'],
  ['WITHDRAW of 65 names', 129, Array.from({ length: 65 }, (_, i) => `n${i}`), 'TOO_LARGE'],
  ['READY with a negative pool', 3, { ...ready, pool: -1 }, 'MALFORMED'],
  ['READY that consumed more than it received', 3, { ...ready, positions: { a: [1, 2] } }, 'MALFORMED'],
  ['READY with a position of three', 3, { ...ready, positions: { a: [1, 1, 1] } }, 'MALFORMED'],
  ['an ACK of nothing', 4, [], 'MALFORMED'],
  ['an ACK of two', 4, ['a', 1], 'MALFORMED'],
  ['an ACK of 65 names', 4, Array.from({ length: 65 }, (_, i) => [`n${i}`, 1, 1]).flat(), 'TOO_LARGE'],
  ['a REFUSE with a long reason', 5, { code: 1, reason: 'x'.repeat(257) }, 'TOO_LARGE'],
  ['a PING of text', 6, '1', 'MALFORMED'],
  ['a RENEW with something', 9, 1, 'MALFORMED'],
  ['a WANT of a name alone', 11, ['a'], 'MALFORMED'],
  ['a WANT of no name', 11, [1, 1], 'MALFORMED'],
  ['a RETURN of three', 12, ['a', 1, 1], 'MALFORMED'],
  ['a RETURN of less than nothing', 12, ['a', -1], 'MALFORMED'],
])('%s is refused', (_, type, body, code) => {
  expect(() => decodeControl(raw(type, body))).toThrow(refused(code))
})

test('names that are special to JavaScript objects are names like others', () => {
  const names = ['__proto__', 'constructor', 'toString']
  const ready = {
    type: 'ready',
    memory: new Uint8Array(8),
    pool: 5,
    positions: new Map(names.map((name) => [name, { received: 1, consumed: 0 }])),
    failed: new Map(names.map((name) => [name, [1]])),
  } as const
  expect(decodeControl(encodeControl(ready))).toEqual(ready)
})
