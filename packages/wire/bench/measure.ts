// `pnpm --filter @glueberry/wire measure`: what this package costs beside bare node:crypto. Medians of interleaved runs.
import { createCipheriv, createDecipheriv, createSecretKey, randomBytes } from 'node:crypto'
import {
  CounterCipher,
  FrameBuffer,
  FrameCursor,
  FrameType,
  RECORD_PLAINTEXT_MAX,
  RecordOpener,
  RecordSealer,
} from '../src/index.ts'

const ROUNDS = 9
const RECORDS = 2000
const plaintext = new Uint8Array(randomBytes(RECORD_PLAINTEXT_MAX))
const key = randomBytes(32)
const secret = createSecretKey(key)
const aad = Uint8Array.of(0xff, 0xe1)

function rate(count: number, work: () => void): number {
  const start = performance.now()
  work()
  return count / ((performance.now() - start) / 1000)
}

const nonce = (counter: number): Uint8Array => {
  const bytes = new Uint8Array(12)
  new DataView(bytes.buffer).setUint32(4, counter, true)
  return bytes
}

function bareSeal(): number {
  return rate(RECORDS, () => {
    for (let i = 0; i < RECORDS; i++) {
      const cipher = createCipheriv('chacha20-poly1305', secret, nonce(i), { authTagLength: 16 })
      cipher.setAAD(aad, { plaintextLength: plaintext.length })
      cipher.update(plaintext)
      cipher.final()
      cipher.getAuthTag()
    }
  })
}

function seal(): number {
  const sealer = new RecordSealer(new CounterCipher(Uint8Array.from(key)))
  return rate(RECORDS, () => {
    for (let i = 0; i < RECORDS; i++) sealer.seal([plaintext])
  })
}

const records = (() => {
  const sealer = new RecordSealer(new CounterCipher(Uint8Array.from(key)))
  return Array.from({ length: RECORDS }, () => new Uint8Array(Buffer.concat(sealer.seal([plaintext]))))
})()

function bareOpen(): number {
  return rate(RECORDS, () => {
    for (let i = 0; i < RECORDS; i++) {
      const record = records[i] as Uint8Array
      const decipher = createDecipheriv('chacha20-poly1305', secret, nonce(i), { authTagLength: 16 })
      decipher.setAAD(record.subarray(0, 2), { plaintextLength: record.length - 18 })
      decipher.setAuthTag(record.subarray(-16))
      decipher.update(record.subarray(2, -16))
      decipher.final()
    }
  })
}

function open(): number {
  const opener = new RecordOpener(new CounterCipher(Uint8Array.from(key)))
  return rate(RECORDS, () => {
    for (const record of records) opener.open(record)
  })
}

const MESSAGES = 2_000_000
const message = plaintext.slice(0, 64)

function gather(): number {
  return rate(MESSAGES, () => {
    let buffer = new FrameBuffer(RECORD_PLAINTEXT_MAX)
    for (let i = 0; i < MESSAGES; i++) {
      if (buffer.room < message.length) buffer = new FrameBuffer(RECORD_PLAINTEXT_MAX)
      buffer.append(FrameType.MESSAGE, message)
    }
  })
}

const full = (() => {
  const buffer = new FrameBuffer(RECORD_PLAINTEXT_MAX)
  while (buffer.room >= message.length) buffer.append(FrameType.MESSAGE, message)
  return buffer.bytes
})()

function read(): number {
  let count = 0
  return rate(MESSAGES, () => {
    while (count < MESSAGES) {
      const cursor = new FrameCursor(full)
      while (cursor.next()) count++
    }
  })
}

const rows = { bareSeal, seal, bareOpen, open, gather, read }
const results = Object.fromEntries(Object.keys(rows).map((name) => [name, [] as number[]]))
for (let round = -1; round < ROUNDS; round++) {
  for (const [name, run] of Object.entries(rows)) {
    const value = run()
    if (round >= 0) results[name]?.push(value) // the first round warms up
  }
}
const median = (name: string): number => (results[name] as number[]).sort((x, y) => x - y)[ROUNDS >> 1] as number
const perSecond = (value: number): string => `${Math.round(value).toLocaleString('en')} /s`

console.log(`node ${process.version}, ${process.arch}, medians of ${ROUNDS} interleaved runs`)
console.log(
  `seal 64 KiB   ${perSecond(median('seal'))}, ${(median('seal') / median('bareSeal')).toFixed(3)} of bare node:crypto`,
)
console.log(
  `open 64 KiB   ${perSecond(median('open'))}, ${(median('open') / median('bareOpen')).toFixed(3)} of bare node:crypto`,
)
console.log(`gather 64 B   ${perSecond(median('gather'))}`)
console.log(`read 64 B     ${perSecond(median('read'))}`)
