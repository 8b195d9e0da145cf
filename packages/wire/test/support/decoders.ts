import fc from 'fast-check'
import { concat } from '../../src/bytes.ts'
import { decodeCbor, encodeCbor } from '../../src/cbor.ts'
import { toX25519 } from '../../src/identity-keys.ts'
import {
  ByteQueue,
  CounterCipher,
  decodeControl,
  encodeControl,
  encodeDataHeader,
  encodeOpen,
  FIN_FRAME,
  FrameBuffer,
  FrameCursor,
  FrameType,
  frameHandshakeMessage,
  Initiator,
  publicKeyOfPeerId,
  RecordOpener,
  RecordSealer,
  Responder,
  takeDataHeader,
  takeHandshakeMessage,
  takeRecord,
} from '../../src/index.ts'
import { controlMessages } from './samples.ts'
import { bareInitiator, countingRandom, handshake, initiatorKeys, responderKeys } from './transcript.ts'

/** A decoder, bytes that it accepts, and how large a share of all inputs it gets. */
export interface Decoder {
  readonly name: string
  readonly share: number
  readonly samples: readonly Uint8Array[]
  readonly decode: (bytes: Uint8Array<ArrayBuffer>) => unknown
}

/** Feeds a stream parser in two pieces, until it wants more. */
function drain(take: (queue: ByteQueue) => unknown, bytes: Uint8Array): void {
  const queue = new ByteQueue()
  const middle = bytes.length >> 1
  for (const piece of [bytes.subarray(0, middle), bytes.subarray(middle)]) {
    queue.push(piece)
    while (take(queue) !== undefined);
  }
}

const a = initiatorKeys()
const b = responderKeys()
const transcript = handshake()

/** A proper Noise message 1 from a proper peer, around a payload that is not proper. */
const message1With = (payload: Uint8Array): Uint8Array => bareInitiator().writeMessage1(payload)

const frames = new FrameBuffer(64)
frames.append(FrameType.FRAGMENT, new Uint8Array(300))
frames.append(FrameType.MESSAGE, new Uint8Array(5))
frames.append(FrameType.CONFIRM, new Uint8Array(0))
const open = encodeOpen({ name: 'chat', firstSequence: 300, redeliveredThrough: 2 ** 40 })
const plaintext = concat(open, frames.bytes, FIN_FRAME)
const key = (): Uint8Array => new Uint8Array(32).fill(3)

export const decoders: readonly Decoder[] = [
  { name: 'control message', share: 25, samples: controlMessages.map(encodeControl), decode: decodeControl },
  {
    name: 'CBOR',
    share: 15,
    samples: [encodeCbor({ a: [1, 2, { b: 'c' }], d: new Uint8Array(9) }), new Uint8Array(5000).fill(0x81)],
    decode: decodeCbor,
  },
  {
    name: 'frames',
    share: 25,
    samples: [plaintext, open, frames.bytes],
    decode: (bytes) => {
      const cursor = new FrameCursor(bytes)
      while (cursor.next());
    },
  },
  {
    name: 'handshake message framing',
    share: 8,
    samples: [frameHandshakeMessage(transcript.message1)],
    decode: (bytes) => drain(takeHandshakeMessage, bytes),
  },
  {
    name: 'data stream header',
    share: 8,
    samples: [encodeDataHeader(transcript.initiator.id, 0), encodeDataHeader(transcript.initiator.id, 2 ** 50)],
    decode: (bytes) => drain(takeDataHeader, bytes),
  },
  {
    name: 'record framing',
    share: 8,
    samples: [concat(...new RecordSealer(new CounterCipher(key())).seal([plaintext]))],
    decode: (bytes) => drain(takeRecord, bytes),
  },
  {
    name: 'sealed record',
    share: 8,
    samples: [concat(...new RecordSealer(new CounterCipher(key())).seal([plaintext]))],
    decode: (bytes) => new RecordOpener(new CounterCipher(key())).open(bytes),
  },
  {
    name: 'PeerId and its key',
    share: 2.5,
    samples: [a.peerId, new Uint8Array(38), concat(a.peerId.subarray(0, 6), new Uint8Array(32))],
    decode: (bytes) => toX25519(publicKeyOfPeerId(bytes)),
  },
  {
    name: 'message 1',
    share: 0.1,
    samples: [transcript.message1],
    decode: (bytes) => new Responder({ identity: b, remotePublicKey: a.publicKey }).readMessage1(bytes),
  },
  {
    name: 'payload of an authentic message 1',
    share: 0.2,
    samples: [0, 0xff].map((fill) =>
      encodeCbor({ version: 3, network: 'test', aes: true, kem: new Uint8Array(1184).fill(fill) }),
    ),
    decode: (payload) => {
      const responder = new Responder({ identity: b, remotePublicKey: a.publicKey })
      responder.readMessage1(message1With(payload))
      responder.accept()
    },
  },
  {
    name: 'message 2',
    share: 0.1,
    samples: [transcript.message2],
    decode: (bytes) => {
      const initiator = new Initiator({
        identity: a,
        remotePublicKey: b.publicKey,
        network: 'test',
        random: countingRandom(0),
      })
      initiator.writeMessage1()
      initiator.readMessage2(bytes)
    },
  },
]

// Lengths that lie, numbers out of range, nesting, long names: each is put over, into or before other bytes.
const hostile = [
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
  [0x80, 0x80, 0x80, 0x80, 0x08], // uvarint 2^31
  [0x80, 0x00],
  [0xff, 0xff],
  [0x7f, 0xff, 0xff, 0xff],
  [0x5a, 0x7f, 0xff, 0xff, 0xff], // CBOR: 2^31 − 1 bytes
  [0x9b, 0, 0, 0, 1, 0, 0, 0, 0], // CBOR: 2^32 items
  [0xbb, 0, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], // CBOR: 2^53 − 1 entries
  [0x9f, 0xbf, 0xff], // CBOR: indefinite lengths
  [0xfb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0], // CBOR: NaN
  [0xc0, 0xd9, 0xd9, 0xf7], // CBOR: tags
  Array.from({ length: 200 }, () => 0x81),
  Array.from({ length: 200 }, () => 0xa1),
  [1, 65, ...Array.from({ length: 65 }, () => 0x61), 1, 0],
]

/** Random, truncated, mutated, spliced and hostile bytes around what a decoder accepts. */
export function hostileBytes(samples: readonly Uint8Array[]): fc.Arbitrary<Uint8Array<ArrayBuffer>> {
  const sample = fc.constantFrom(...samples)
  const at = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true })
  const mutated = fc
    .tuple(sample, fc.array(fc.tuple(at, fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 6 }))
    .map(([bytes, edits]) => {
      const copy = Uint8Array.from(bytes)
      for (const [where, value] of edits) copy[Math.floor(where * copy.length)] = value
      return copy
    })
  const truncated = fc.tuple(sample, at).map(([bytes, where]) => bytes.slice(0, Math.floor(where * bytes.length)))
  const spliced = fc.tuple(sample, fc.constantFrom(...hostile), at, at).map(([bytes, insert, where, skip]) => {
    const offset = Math.floor(where * (bytes.length + 1))
    return Uint8Array.from([...bytes.subarray(0, offset), ...insert, ...bytes.subarray(offset + Math.floor(skip * 4))])
  })
  const random = fc.uint8Array({ maxLength: 120 }).map((bytes) => Uint8Array.from(bytes))
  return fc.oneof(random, mutated, truncated, spliced) as fc.Arbitrary<Uint8Array<ArrayBuffer>>
}
