import { readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { concat } from '../src/bytes.ts'
import {
  controlCipher,
  dataCipher,
  encodeControl,
  encodeDataHeader,
  encodeOpen,
  FIN_FRAME,
  FrameBuffer,
  FrameType,
  frameHandshakeMessage,
  type IdentityKeys,
  RecordSealer,
} from '../src/index.ts'
import { hex } from './support/hex.ts'
import { controlMessages } from './support/samples.ts'
import { handshake, initiatorKeys, responderKeys } from './support/transcript.ts'

// Our own vectors, so that another implementation can be written from docs/protocol.md and checked.
// `GLUEBERRY_WRITE_VECTORS=1` writes them anew: only when the wire changes on purpose.
function golden(file: string, made: unknown): void {
  const url = new URL(`vectors/${file}`, import.meta.url)
  const text = `${JSON.stringify(made, null, 2)}\n`
  if (process.env.GLUEBERRY_WRITE_VECTORS === '1') writeFileSync(url, text)
  expect(text).toBe(readFileSync(url, 'utf8'))
}

const plain = (value: unknown): unknown => {
  if (value instanceof Uint8Array) return hex(value)
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, each]) => [key, plain(each)]))
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plain(each)]))
  }
  return value
}

const identity = (seed: number, keys: IdentityKeys) => ({
  seed: hex(new Uint8Array(32).fill(seed)),
  publicKey: hex(keys.publicKey),
  peerId: hex(keys.peerId),
})

test('session handshake', () => {
  const first = handshake()
  const renewal = handshake(first.initiator.id)
  const written = (run: typeof first) => ({
    message1: hex(frameHandshakeMessage(run.message1)),
    message2: hex(frameHandshakeMessage(run.message2)),
    sessionId: hex(run.initiator.id),
    initiatorRoot: hex(run.initiator.sendRoot),
    responderRoot: hex(run.initiator.receiveRoot),
  })
  golden('handshake.json', {
    about:
      'Random bytes are a counter: the initiator draws 32 for its ephemeral key and 64 for its ML-KEM seed (d then z) from 00 01 02 …, the responder 32 for its ephemeral key and 32 for ML-KEM from 64 65 66 …',
    network: 'test',
    initiator: identity(1, initiatorKeys()),
    responder: identity(2, responderKeys()),
    session: written(first),
    renewal: { previousSessionId: hex(first.initiator.id), ...written(renewal) },
  })
})

test('control messages and control records', () => {
  const root = new Uint8Array(32).fill(5)
  const sealer = new RecordSealer(controlCipher(root, 'chacha20-poly1305'))
  golden('control.json', {
    about: 'Each message sealed in turn with the control key of `root`, counter from 0.',
    root: hex(root),
    messages: controlMessages.map((message) => ({
      message: plain(message),
      plaintext: hex(encodeControl(message)),
      record: hex(concat(...sealer.seal([encodeControl(message)]))),
    })),
  })
})

test('a data stream', () => {
  const root = new Uint8Array(32).fill(6)
  const { id } = handshake().initiator
  const sealer = new RecordSealer(dataCipher(root, 258, 'chacha20-poly1305'))
  const frames = new FrameBuffer(64)
  const text = (value: string) => new TextEncoder().encode(value)
  frames.append(FrameType.MESSAGE, text('hello'))
  frames.append(FrameType.MESSAGE, new Uint8Array(0))
  frames.append(FrameType.CONFIRM, text('please confirm'))
  frames.append(FrameType.FRAGMENT, new Uint8Array(200).fill(0xab))
  const rest = new FrameBuffer(64)
  rest.append(FrameType.MESSAGE, text('end of a message in two parts'))
  const open = encodeOpen({ name: 'chat', firstSequence: 300, redeliveredThrough: 299 })
  const records = [concat(open, frames.bytes), concat(rest.bytes), FIN_FRAME]
  golden('data-stream.json', {
    about: 'Messages 300 to 303 on stream 258: three whole, one in two parts over two records; then FIN.',
    root: hex(root),
    sessionId: hex(id),
    header: hex(encodeDataHeader(id, 258)),
    records: records.map((plaintext) => ({
      plaintext: hex(plaintext),
      record: hex(concat(...sealer.seal([plaintext]))),
    })),
  })
})
