import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  ByteQueue,
  encodeOpen,
  FIN_FRAME,
  FrameBuffer,
  FrameCursor,
  FrameType,
  type PartType,
  partLength,
  RECORD_PLAINTEXT_MAX,
  takeRecord,
} from '../src/index.ts'
import { readUvarint, UVARINT_MAX, uvarintLength, writeUvarint } from '../src/uvarint.ts'
import { hex } from './support/hex.ts'
import { decodeFrames, encodeFrames, type ReferenceFrame, uvarint } from './support/reference.ts'

const name = fc.stringMatching(/^[A-Za-z0-9._-]{1,64}$/)
const sequence = fc.oneof(
  fc.integer({ min: 1, max: 300 }),
  fc
    .maxSafeInteger()
    .map(Math.abs)
    .filter((n) => n > 0),
)
const part = fc.record({
  type: fc.constantFrom('MESSAGE', 'CONFIRM', 'FRAGMENT') as fc.Arbitrary<'MESSAGE' | 'CONFIRM' | 'FRAGMENT'>,
  data: fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 200 }),
    fc.integer({ min: 126, max: 17_000 }).map((n) => new Uint8Array(n)),
  ),
})

/** The fast decoder's view of a record, in the reference's words. */
function walk(plaintext: Uint8Array<ArrayBuffer>): ReferenceFrame[] {
  const frames: ReferenceFrame[] = []
  const cursor = new FrameCursor(plaintext)
  while (cursor.next()) {
    const type = (Object.keys(FrameType) as (keyof typeof FrameType)[]).find((key) => FrameType[key] === cursor.type)
    if (type === 'OPEN') frames.push({ type, ...cursor.open })
    else if (type === 'FIN') frames.push({ type })
    else frames.push({ type: type as 'MESSAGE', data: cursor.bytes.slice(cursor.start, cursor.end) })
  }
  return frames
}

test('the fast encoder and decoder agree with the slow ones on random sequences of frames', () => {
  const record = fc.record({
    open: fc.option(
      fc.record({ name, firstSequence: sequence, redeliveredThrough: fc.maxSafeInteger().map(Math.abs) }),
    ),
    parts: fc.array(part, { maxLength: 30 }),
    fin: fc.boolean(),
  })
  fc.assert(
    fc.property(record, ({ open, parts, fin }) => {
      const buffer = new FrameBuffer(64)
      const fitting = parts.filter(({ type, data }) => {
        if (data.length > buffer.room) return false
        buffer.append(FrameType[type] as PartType, data)
        return true
      })
      const fast = Uint8Array.from([...(open ? encodeOpen(open) : []), ...buffer.bytes, ...(fin ? FIN_FRAME : [])])
      const frames: ReferenceFrame[] = [
        ...(open ? [{ type: 'OPEN', ...open } as const] : []),
        ...fitting,
        ...(fin ? [{ type: 'FIN' } as const] : []),
      ]
      const slow = encodeFrames(frames)
      expect(Buffer.compare(fast, slow)).toBe(0)
      expect(walk(fast)).toEqual(decodeFrames(slow))
      expect(walk(fast)).toEqual(frames.map((frame) => ({ ...frame })))
    }),
    { numRuns: 1000 },
  )
})

test('the two decoders refuse the same bytes', () => {
  const bytes = fc.array(
    fc.oneof(fc.constantFrom(0, 1, 2, 3, 4, 5, 6, 0x41, 0x80, 0xff), fc.integer({ min: 0, max: 255 })),
    { maxLength: 40 },
  )
  const outcome = (decode: () => unknown): unknown => {
    try {
      return decode()
    } catch {
      return 'refused'
    }
  }
  fc.assert(
    fc.property(bytes, (values) => {
      const data = Uint8Array.from(values)
      expect(outcome(() => walk(data))).toEqual(outcome(() => decodeFrames(data)))
    }),
    { numRuns: 20_000 },
  )
})

test('a frame buffer fills a record to its last byte and takes no more', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 40_000 }), (first) => {
      const buffer = new FrameBuffer(16)
      buffer.append(FrameType.MESSAGE, new Uint8Array(first))
      const { room } = buffer
      expect(buffer.length + partLength(room)).toBeLessThanOrEqual(RECORD_PLAINTEXT_MAX)
      expect(buffer.length + partLength(room + 1)).toBeGreaterThan(RECORD_PLAINTEXT_MAX - 1)
      buffer.append(FrameType.FRAGMENT, new Uint8Array(room))
      expect(() => buffer.append(FrameType.MESSAGE, new Uint8Array(2))).toThrow()
    }),
  )
})

test('uvarint: there and back, as long as the reference’s, shortest form only, at most 2^53 − 1', () => {
  const values = fc.oneof(
    fc.maxSafeInteger().map(Math.abs),
    fc.integer({ min: 0, max: 53 }).map((bits) => 2 ** bits - 1),
    fc.integer({ min: 0, max: 52 }).map((bits) => 2 ** bits),
  )
  fc.assert(
    fc.property(values, (value) => {
      const out = new Uint8Array(10)
      const end = writeUvarint(value, out, 1)
      expect([...out.subarray(1, end)]).toEqual(uvarint(value))
      expect(end - 1).toBe(uvarintLength(value))
      expect(readUvarint(out, 1)).toBe(value)
      expect(readUvarint(out.subarray(0, end - 1), 1)).toBeUndefined()
    }),
    { numRuns: 5000 },
  )
  const refused = (code: string, ...bytes: number[]) =>
    expect(() => readUvarint(Uint8Array.from(bytes), 0), hex(Uint8Array.from(bytes))).toThrow(
      expect.objectContaining({ code }),
    )
  refused('MALFORMED', 0x80, 0x00)
  refused('MALFORMED', 0xff, 0x80, 0x00)
  refused('TOO_LARGE', 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10) // 2^53
  refused('TOO_LARGE', 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
  refused('TOO_LARGE', 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01)
  for (const value of [-1, 1.5, Number.NaN, UVARINT_MAX + 1]) {
    expect(() => writeUvarint(value, new Uint8Array(10), 0)).toThrow(expect.objectContaining({ code: 'MALFORMED' }))
  }
})

test('a byte queue gives back what was put in, however it was cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.uint8Array({ maxLength: 20 }), fc.uint8Array({ minLength: 500, maxLength: 600 }))),
      fc.array(fc.integer({ min: 0, max: 30 })),
      (chunks, takes) => {
        const queue = new ByteQueue()
        const [early, late] = [chunks.slice(0, chunks.length / 2), chunks.slice(chunks.length / 2)]
        let expected = early.flatMap((chunk) => [...chunk])
        for (const chunk of early) queue.push(chunk)
        for (const count of takes) {
          const chunk = late.pop() // pushed and taken in turns
          if (chunk !== undefined) {
            queue.push(chunk)
            expected.push(...chunk)
          }
          expect([...queue.peek(count)]).toEqual(expected.slice(0, count))
          if (count > expected.length) {
            expect(() => queue.take(count)).toThrow(RangeError)
            continue
          }
          expect([...queue.take(count)]).toEqual(expected.slice(0, count))
          expected = expected.slice(count)
          expect(queue.length).toBe(expected.length)
        }
        expect(queue.drain().flatMap((chunk) => [...chunk])).toEqual(expected)
        expect(queue.length).toBe(0)
      },
    ),
  )
})

test('a byte queue joins small pieces: 65,000 bytes in pieces of 20 are not 3,250 objects', () => {
  const queue = new ByteQueue()
  for (let i = 0; i < 3250; i++) queue.push(new Uint8Array(20).fill(i))
  const chunks = queue.drain()
  expect(chunks).toHaveLength(1)
  expect(chunks[0]?.length).toBe(65_000)
  expect(chunks[0]?.buffer.byteLength).toBeLessThan(2 * 65_000 + 1024)
})

test('a byte queue keeps nothing of what was taken, however the pieces straddle what is taken', () => {
  const queue = new ByteQueue()
  queue.push(new Uint8Array(50))
  for (let i = 0; i < 10_000; i++) {
    queue.push(new Uint8Array(100).fill(i))
    queue.take(100)
  }
  const [chunk] = queue.drain()
  expect(chunk?.length).toBe(50)
  expect(chunk?.buffer.byteLength).toBeLessThan(2000)
})

test('a record above what is allowed now is refused as soon as its length is known', () => {
  const queue = new ByteQueue()
  queue.push(Uint8Array.of(0, 117))
  expect(takeRecord(queue, 101)).toBeUndefined()
  expect(() => takeRecord(queue, 100)).toThrow(expect.objectContaining({ code: 'TOO_LARGE' }))
})
