import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { defaultCrypto } from '@chainsafe/libp2p-noise/crypto'
import { pair } from '@glueberry/testkit'
import type { MessageStream, MultiaddrConnection, Stream } from '@libp2p/interface'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { systemClock } from '../src/clock.ts'
import type { Logger } from '../src/index.ts'
import { type Change, Changes } from '../src/libp2p/changes/changes.ts'
import { AgreedProtocol, openEarly } from '../src/libp2p/changes/early-streams.ts'
import { noiseCrypto } from '../src/libp2p/changes/noise-crypto.ts'
import {
  announceHalves,
  awaitLengths,
  gatherWrites,
  leaveNoTimer,
  listOnce,
  READ_ALONE,
  READ_SHARED,
  ReadTurns,
  widenWindow,
} from '../src/libp2p/changes/speed.ts'

// What is changed inside libp2p's packages relies on what they do not export. Another version may not have it.

function make(): { changes: Changes; told: unknown[] } {
  const told: unknown[] = []
  const nothing = (): void => {}
  const logger: Logger = { debug: nothing, info: nothing, warn: (_, fields) => told.push(fields), error: nothing }
  return { changes: new Changes(logger), told }
}

test('every change fits the versions in use', async () => {
  await using nodes = await pair(['x'])
  const { alice, bob, aliceId } = nodes
  alice.handle('x', () => {})
  await bob.send(aliceId, 'x', randomBytes(300_000), { confirm: true })
  expect([alice.health().degraded, bob.health().degraded]).toEqual([[], []])
  await bob.stop()
  expect(bob.health().degraded).toEqual([])
})

const ADDRESS = '/ip4/127.0.0.1/tcp/1'
test.each<[Change, (changes: Changes) => void]>([
  ['gathered writes', (changes) => gatherWrites({ remoteAddr: ADDRESS } as never as MultiaddrConnection, changes)],
  [
    'reads in turns',
    (changes) => new ReadTurns(systemClock).add({ remoteAddr: ADDRESS } as never as MultiaddrConnection, changes),
  ],
  ['halved window updates', (changes) => announceHalves({} as Stream, changes)],
  ['wide windows', (changes) => widenWindow({} as Stream, changes)],
  ['early streams', (changes) => openEarly({} as Stream, '/x', changes)],
  ['frame lengths', (changes) => awaitLengths({} as MessageStream, changes)],
  ['connection list', (changes) => listOnce({}, changes)],
  ['exit timer', (changes) => leaveNoTimer({}, changes)],
])('%s: where it does not fit, nothing is changed, and that is told once', (change, apply) => {
  const { changes, told } = make()
  apply(changes)
  apply(changes)
  expect(changes.missing).toEqual([change])
  expect(told).toEqual([{ change, effect: expect.any(String) }])
})

describe('the answer on a stream that was opened early', () => {
  const utf8 = new TextEncoder()
  const answer = utf8.encode('\x13/multistream/1.0.0\n\x03/x\n')

  test('is taken off what comes, wherever it is cut', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.array(fc.nat(60), { maxLength: 6 }), (behind, at) => {
        const all = Uint8Array.of(...answer, ...behind)
        const cuts = [0, ...at.map((each) => Math.min(each, all.length)).sort((a, b) => a - b), all.length]
        const agreed = new AgreedProtocol(answer, '/x')
        const left = cuts.slice(1).flatMap((cut, i) => [...agreed.take(all.subarray(cuts[i], cut))])
        expect(left).toEqual([...behind])
        expect(agreed.complete).toBe(true)
      }),
    )
  })

  test('that is another one ends the stream at its first byte that differs', () => {
    const agreed = new AgreedProtocol(answer, '/x')
    expect(agreed.take(answer.subarray(0, 20))).toEqual(new Uint8Array())
    expect(() => agreed.take(utf8.encode('\x03na\n'))).toThrow(expect.objectContaining({ code: 'VERSION_MISMATCH' }))
  })
})

test('the list of all connections, and of those of one peer, is what libp2p makes of it', () => {
  const [a, b, c] = [{ id: 'a' }, { id: 'b' }, { id: 'c' }]
  const connections = new Map([
    ['one', [a, b]],
    ['two', [c]],
  ])
  const connectionManager = { connections, getConnections: (peer?: string) => connections.get(peer ?? '') ?? [] }
  const { changes } = make()
  listOnce({ components: { connectionManager } }, changes)
  expect(connectionManager.getConnections()).toEqual([a, b, c])
  expect(connectionManager.getConnections('one')).toEqual([a, b])
  expect(changes.missing).toEqual([])
})

test.each([
  ['alone', 1, READ_ALONE],
  ['beside another one', 2, READ_SHARED],
])('a busy socket %s is read for little more than its share in a turn of the event loop', async (_, count, share) => {
  const size = 8 * READ_ALONE
  const server = createServer((socket) => void socket.end(new Uint8Array(size))).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { changes } = make()
  const turns = new ReadTurns(systemClock)
  const sockets = Array.from({ length: count }, () => connect((server.address() as AddressInfo).port, '127.0.0.1'))
  const read = sockets.map(() => ({ inThisTurn: 0, most: 0, total: 0 }))
  let others = 0 // sockets that have brought something, and not yet all of it
  const turn = (): void => {
    for (const each of read) each.inThisTurn = 0
    if (sockets.some(({ closed }) => !closed)) setImmediate(turn)
  }
  turn()
  for (const [i, socket] of sockets.entries()) {
    const each = read[i] as (typeof read)[number]
    socket.on('data', ({ byteLength }) => {
      if (each.total === 0) others++
      each.total += byteLength
      each.inThisTurn += byteLength
      if (others === count) each.most = Math.max(each.most, each.inThisTurn)
      if (each.total === size) others--
    })
    turns.add({ remoteAddr: ADDRESS, socket } as never as MultiaddrConnection, changes)
  }
  await Promise.all(sockets.map((socket) => once(socket, 'close')))
  server.close()
  for (const { total, most } of read) {
    expect(total).toBe(size)
    expect(most).toBeLessThanOrEqual(share + 2 * 65_536)
  }
  expect(changes.missing).toEqual([])
})

test('a length of a Noise frame that has not come is awaited without an error', () => {
  const { changes } = make()
  const decoder = { lengthDecoder: ({ byteLength }: { readonly byteLength: number }) => byteLength + 1000 }
  awaitLengths({ decoder } as never as MessageStream, changes)
  expect([0, 1, 2, 3].map((byteLength) => decoder.lengthDecoder({ byteLength }))).toEqual([65_535, 65_535, 1002, 1003])
  expect(changes.missing).toEqual([])
})

test('another transport has writes of its own: they are not gathered, and nothing is missing', () => {
  const { changes } = make()
  gatherWrites({ remoteAddr: `${ADDRESS}/ws` } as never as MultiaddrConnection, changes)
  expect(changes.missing).toEqual([])
})

test.each([
  ['a copy of the ciphertext', (sealed: Uint8Array) => sealed.slice(0, -16), []],
  ['empty memory', (sealed: Uint8Array) => new Uint8Array(sealed.length - 16), ['noise buffers']],
  ['memory of another length', () => new Uint8Array(5000), ['noise buffers']],
  ['nothing', () => undefined, []],
])('a Noise frame is opened right when its target is %s', (_, target, missing) => {
  const { changes } = make()
  const { chaCha20Poly1305Encrypt: encrypt, chaCha20Poly1305Decrypt: decrypt } = noiseCrypto(changes)
  const [key, nonce, ad, plaintext] = [randomBytes(32), randomBytes(12), randomBytes(3), randomBytes(4000)]
  const sealed = Uint8Array.from(encrypt(plaintext, nonce, ad, key).subarray())
  expect(sealed).toEqual(Uint8Array.from(defaultCrypto.chaCha20Poly1305Encrypt(plaintext, nonce, ad, key).subarray()))
  const opened = decrypt(sealed.slice(), nonce, ad, key, target(sealed))
  expect(Buffer.from(opened.subarray()).equals(plaintext)).toBe(true)
  expect(changes.missing).toEqual(missing)
})
