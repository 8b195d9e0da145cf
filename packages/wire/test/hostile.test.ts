import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeCbor } from '../src/cbor.ts'
import { ByteQueue, takeDataHeader, takeHandshakeMessage, takeRecord, WireError } from '../src/index.ts'
import { decoders, hostileBytes } from './support/decoders.ts'

const TOTAL = 210_000

test.each(decoders)('hostile bytes: $name returns or throws a WireError', ({ share, samples, decode }) => {
  let inputs = 0
  let accepted = 0
  fc.assert(
    fc.property(hostileBytes(samples), (bytes) => {
      inputs++
      try {
        decode(bytes)
        accepted++
      } catch (error) {
        if (!(error instanceof WireError)) throw error
      }
    }),
    { numRuns: Math.ceil((TOTAL * share) / 100) },
  )
  expect(inputs).toBeGreaterThan(0)
  expect(accepted).toBeLessThan(inputs) // some of it was refused: the bytes are hostile indeed
})

test('a length above its limit is refused when only the length has come: nothing is waited for or kept', () => {
  const refused = (take: (queue: ByteQueue) => unknown, ...bytes: number[]) => {
    const queue = new ByteQueue()
    queue.push(Uint8Array.from(bytes))
    expect(() => take(queue), bytes.join(' ')).toThrow(expect.objectContaining({ code: 'TOO_LARGE' }))
  }
  refused(takeRecord, 0xff, 0xe2) // 65,506
  refused(takeHandshakeMessage, 0x81, 0x40) // 8,193
  refused(takeHandshakeMessage, 0x80, 0x80, 0x80, 0x80, 0x08) // 2^31
  refused(takeHandshakeMessage, ...Array.from({ length: 8 }, () => 0xff))
  refused(takeDataHeader, ...new Uint8Array(8), ...Array.from({ length: 8 }, () => 0xff))
})

test('CBOR lengths that lie allocate nothing: what is decoded is never larger than what came', () => {
  for (const lie of [
    [0x5a, 0x7f, 0xff, 0xff, 0xff],
    [0x7b, 0, 0, 0, 1, 0, 0, 0, 0],
    [0x9a, 0x7f, 0xff, 0xff, 0xff],
    [0xba, 0x7f, 0xff, 0xff, 0xff],
  ]) {
    const before = process.memoryUsage().arrayBuffers
    expect(() => decodeCbor(Uint8Array.from([...lie, 1, 2, 3]))).toThrow(expect.objectContaining({ code: 'MALFORMED' }))
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1_000_000)
  }
})

test('every sample is accepted as it is, so that the mutations begin close to it', () => {
  for (const { name, samples, decode } of decoders) {
    expect(() => decode(Uint8Array.from(samples[0] as Uint8Array)), name).not.toThrow()
  }
})
