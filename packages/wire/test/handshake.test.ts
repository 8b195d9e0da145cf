import { describe, expect, test } from 'vitest'
import { concat } from '../src/bytes.ts'
import { encodeCbor } from '../src/cbor.ts'
import { DhKey } from '../src/identity-keys.ts'
import { IdentityKeys, Initiator, Responder } from '../src/index.ts'
import { NoiseKk } from '../src/noise-kk.ts'
import { bareInitiator, countingRandom, handshake, initiatorKeys, responderKeys } from './support/transcript.ts'

const code = (code: string) => expect.objectContaining({ code })

const pair = (): [Initiator, Responder] => {
  const [a, b] = [initiatorKeys(), responderKeys()]
  return [
    new Initiator({ identity: a, remotePublicKey: b.publicKey, network: 'here', aes: true }),
    new Responder({ identity: b, remotePublicKey: a.publicKey, aes: true }),
  ]
}

test('both ends have the same id and crossed roots, and different ones every time', () => {
  const run = () => {
    const [initiator, responder] = pair()
    expect(responder.readMessage1(initiator.writeMessage1())).toEqual({ version: 3, network: 'here', aes: true })
    const { message, secrets: theirs } = responder.accept()
    const answer = initiator.readMessage2(message)
    if (!('secrets' in answer)) throw new Error('refused')
    expect(answer.secrets.id).toEqual(theirs.id)
    expect(answer.secrets.sendRoot).toEqual(theirs.receiveRoot)
    expect(answer.secrets.receiveRoot).toEqual(theirs.sendRoot)
    expect(answer.secrets.sendRoot).not.toEqual(answer.secrets.receiveRoot)
    return answer.secrets
  }
  const [first, second] = [run(), run()]
  expect(first.id).not.toEqual(second.id)
  expect(first.sendRoot).not.toEqual(second.sendRoot)
})

test.each([
  [true, true, 'aes-256-gcm'],
  [true, false, 'chacha20-poly1305'],
  [false, true, 'chacha20-poly1305'],
  [false, false, 'chacha20-poly1305'],
] as const)('AES is used when both sides want it: %s, %s', (a, b, cipher) => {
  const { initiator, responder } = handshake(undefined, [a, b])
  expect([initiator.cipher, responder.cipher]).toEqual([cipher, cipher])
})

test('a responder cannot choose a cipher that was not offered', () => {
  const [a, b] = [initiatorKeys(), responderKeys()]
  const initiator = new Initiator({ identity: a, remotePublicKey: b.publicKey, network: 'here', aes: false })
  const eager = new NoiseKk({
    initiator: false,
    prologue: concat(Buffer.from('glueberry/2\0'), a.peerId, b.peerId),
    s: { publicKey: b.x25519PublicKey, sharedSecret: (remote) => b.sharedSecret(remote) },
    e: new DhKey(new Uint8Array(32).fill(5)),
    rs: a.x25519PublicKey,
  })
  eager.readMessage1(initiator.writeMessage1())
  const message = eager.writeMessage2(encodeCbor({ version: 3, kem: new Uint8Array(1088), aes: true }))
  expect(() => initiator.readMessage2(message)).toThrow(code('MALFORMED'))
})

test('a refusal arrives with its code and reason', () => {
  const [initiator, responder] = pair()
  responder.readMessage1(initiator.writeMessage1())
  const message = responder.refuse({ code: 'network', reason: 'this is "there"' })
  expect(initiator.readMessage2(message)).toEqual({ refusal: { code: 'network', reason: 'this is "there"' } })
})

describe('nobody else gets in', () => {
  const stranger = new IdentityKeys(new Uint8Array(32).fill(9))

  test('an initiator with another key', () => {
    const [, responder] = pair()
    const impostor = new Initiator({ identity: stranger, remotePublicKey: responderKeys().publicKey, network: 'here' })
    expect(() => responder.readMessage1(impostor.writeMessage1())).toThrow(code('AUTHENTICATION'))
  })

  test('a responder with another key', () => {
    const [initiator] = pair()
    const impostor = new Responder({ identity: stranger, remotePublicKey: initiatorKeys().publicKey })
    expect(() => impostor.readMessage1(initiator.writeMessage1())).toThrow(code('AUTHENTICATION'))
    expect(() => initiator.readMessage2(new Uint8Array(200))).toThrow(code('INVALID_IDENTITY')) // e = 0
  })

  test('the negated key of an identity, which has the same X25519 form', () => {
    const negated = responderKeys().publicKey
    negated[31] = (negated[31] as number) ^ 0x80
    const initiator = new Initiator({ identity: initiatorKeys(), remotePublicKey: negated, network: 'here' })
    const [, responder] = pair()
    expect(() => responder.readMessage1(initiator.writeMessage1())).toThrow(code('AUTHENTICATION'))
  })

  test('a renewal of another session', () => {
    const { initiator } = handshake()
    const [a, b] = [initiatorKeys(), responderKeys()]
    const renewing = new Initiator({
      identity: a,
      remotePublicKey: b.publicKey,
      network: 'test',
      previousSessionId: initiator.id,
    })
    const [, fresh] = pair()
    expect(() => fresh.readMessage1(renewing.writeMessage1())).toThrow(code('AUTHENTICATION'))
    expect(handshake(initiator.id).initiator.id).not.toEqual(initiator.id)
  })
})

test('every changed byte of either message is noticed', () => {
  const { message1, message2 } = handshake()
  const flip = (message: Uint8Array, at: number) =>
    Uint8Array.from(message, (byte, i) => (i === at ? byte ^ 0x40 : byte))
  const positions = (message: Uint8Array) => [0, 15, 31, 32, 33, 700, message.length - 17, message.length - 1]
  const [a, b] = [initiatorKeys(), responderKeys()]
  for (const at of positions(message1)) {
    const responder = new Responder({ identity: b, remotePublicKey: a.publicKey })
    expect(() => responder.readMessage1(flip(message1, at)), `${at}`).toThrow(code('AUTHENTICATION'))
  }
  for (const at of positions(message2)) {
    const initiator = new Initiator({
      identity: a,
      remotePublicKey: b.publicKey,
      network: 'test',
      random: countingRandom(0),
    })
    initiator.writeMessage1()
    expect(() => initiator.readMessage2(flip(message2, at)), `${at}`).toThrow(code('AUTHENTICATION'))
  }
})

test('a remote key of low order is refused before anything is computed', () => {
  const lowOrder = Uint8Array.from({ length: 32 }, (_, i) => (i === 0 ? 1 : 0))
  const options = { identity: initiatorKeys(), remotePublicKey: lowOrder }
  expect(() => new Initiator({ ...options, network: 'x' })).toThrow(code('INVALID_IDENTITY'))
  expect(() => new Responder(options)).toThrow(code('INVALID_IDENTITY'))
})

test('a handshake is used once; a destroyed one throws', () => {
  const [initiator, responder] = pair()
  responder.readMessage1(initiator.writeMessage1())
  responder.accept()
  expect(() => responder.accept()).toThrow(code('DESTROYED'))
  initiator.destroy()
  expect(() => initiator.writeMessage1()).toThrow(code('DESTROYED'))
})

test('another version is seen as such, whatever else it carries', () => {
  const [a, b] = [initiatorKeys(), responderKeys()]
  const newer = bareInitiator()
  const responder = new Responder({ identity: b, remotePublicKey: a.publicKey })
  const message1 = newer.writeMessage1(encodeCbor({ version: 4, network: 'here', other: [1, 2] }))
  expect(responder.readMessage1(message1)).toEqual({ version: 4, network: 'here', aes: false })
  expect(() => responder.accept()).toThrow(code('DESTROYED'))
  expect(newer.readMessage2(responder.refuse({ code: 'version', reason: '' }))).toEqual(
    encodeCbor({ code: 1, reason: '' }),
  )
})

test('CBOR payloads are canonical: keys sorted, shortest forms', () => {
  expect(concat(encodeCbor({ network: 'a', kem: Uint8Array.of(1), version: 3 }))).toEqual(
    Uint8Array.of(
      0xa3,
      0x63,
      0x6b,
      0x65,
      0x6d,
      0x41,
      1,
      0x67,
      ...Buffer.from('network'),
      0x61,
      0x61,
      0x67,
      ...Buffer.from('version'),
      3,
    ),
  )
})

test('after a handshake, done or given up, every byte that was drawn for it is zero', () => {
  const drawn: Uint8Array[] = []
  const counting = countingRandom(7)
  const random = (length: number): Uint8Array => {
    const bytes = counting(length)
    drawn.push(bytes)
    return bytes
  }
  const [a, b] = [initiatorKeys(), responderKeys()]
  const begin = () => ({
    initiator: new Initiator({ identity: a, remotePublicKey: b.publicKey, network: 'test', random }),
    responder: new Responder({ identity: b, remotePublicKey: a.publicKey, random }),
  })
  const zeroed = () => drawn.splice(0).every((bytes) => bytes.every((byte) => byte === 0))

  const done = begin()
  done.responder.readMessage1(done.initiator.writeMessage1())
  done.initiator.readMessage2(done.responder.accept().message)
  expect(drawn.map(({ length }) => length)).toEqual([32, 64, 32, 32])
  expect(zeroed()).toBe(true)

  const refused = begin()
  refused.responder.readMessage1(refused.initiator.writeMessage1())
  refused.initiator.readMessage2(refused.responder.refuse({ code: 'busy', reason: '' }))
  expect(zeroed()).toBe(true)

  const givenUp = begin()
  givenUp.initiator.destroy()
  givenUp.responder.destroy()
  expect(zeroed()).toBe(true)
})
