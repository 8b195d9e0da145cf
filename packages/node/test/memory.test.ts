import { Socket } from 'node:net'
import { collect, eventually, pair } from '@glueberry/testkit'
import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { Owned } from '../src/memory.ts'
import { Batch } from '../src/stream/batch.ts'
import { OpenedRecord } from '../src/stream/opened-record.ts'

test('what is taken out of a record stays what it was, and holds at most eight times its own size', () => {
  const sizes = fc.array(fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 20_000 })), {
    maxLength: 60,
  })
  fc.assert(
    fc.property(sizes, (lengths) => {
      const plaintext = new Uint8Array(
        Math.max(
          1,
          lengths.reduce((sum, length) => sum + length, 0),
        ),
      )
      plaintext.forEach((_, i) => {
        plaintext[i] = i * 31
      })
      const original = plaintext.slice()
      const record = new OpenedRecord(plaintext)
      let at = 0
      const taken = lengths.map((length) => {
        const start = at
        at += length
        return { start, end: at, bytes: record.take(start, at) }
      })
      record.close()
      for (const { start, end, bytes } of taken) {
        expect(Buffer.compare(bytes, original.subarray(start, end))).toBe(0)
        expect(bytes.buffer.byteLength).toBeLessThanOrEqual(Math.max(64, 8 * bytes.length))
      }
    }),
  )
})

test('the memory of a record goes back at once when nothing of it was handed out, and stays when something was', () => {
  const copied = new OpenedRecord(new Uint8Array(65_000))
  copied.take(0, 1000)
  copied.close()
  expect(() => copied.bytes).toThrow('memory is used after its release')
  const alone = new OpenedRecord(new Uint8Array(65_000))
  expect(alone.takeAlone(3, 65_000).buffer).toBe(alone.bytes.buffer)
  expect(new OpenedRecord(new Uint8Array(65_000)).takeAlone(3, 64_999).buffer.byteLength).toBe(64_996)
  const viewed = new OpenedRecord(new Uint8Array(65_000))
  const view = viewed.take(0, 30_000)
  viewed.close()
  expect(view.length).toBe(30_000)
  expect(view.buffer).toBe(viewed.bytes.buffer)
})

test('what was released is detached, and cannot be used', () => {
  const bytes = new Uint8Array(65_000)
  const owned = new Owned(bytes)
  owned.release()
  expect(bytes.length).toBe(0)
  expect(() => owned.bytes).toThrow('memory is used after its release')
  expect(() => owned.release()).toThrow('memory is used after its release')

  const others = new Uint8Array(65_000)
  new Owned(others.subarray(3), 2).release()
  expect(others.length).toBe(65_000) // three bytes in front of it are not its own
  new Owned(others.subarray(3), 3).release()
  expect(others.length).toBe(0)

  const batch = new Batch(1, 65_000)
  batch.append('message', new Uint8Array(60_000))
  const frames = batch.slice(batch.start, batch.end)
  batch.release()
  expect(frames.length).toBe(0)
  for (const use of [
    () => batch.append('message', new Uint8Array(1)),
    () => batch.slice(batch.start, batch.end),
    () => batch.walk(batch.start, () => true),
    () => batch.room,
    () => batch.release(),
  ]) {
    expect(use).toThrow('memory is used after its release')
  }
})

test('who transfers the buffer of a message that shares it gets an error, and no other message is touched', async () => {
  await using both = await pair(['x'])
  const { alice, bob, aliceId } = both
  const sizes = [20_000, 100_000, 9000, 9000, 1000, 1000, 1000, 64] // the second begins behind the first, in its record
  for (const [i, size] of sizes.entries()) void bob.send(aliceId, 'x', new Uint8Array(size).fill(i + 1))
  let transferred = 0
  const inbox = alice.messages('x')
  for (const [i, size] of sizes.entries()) {
    const [message] = await collect(inbox, 1)
    const data = message?.data as Uint8Array<ArrayBuffer>
    expect(data.length).toBe(size)
    expect(data.every((byte) => byte === i + 1)).toBe(true)
    try {
      structuredClone(data, { transfer: [data.buffer] })
      transferred++
      expect(data.length).toBe(0)
    } catch (error) {
      expect((error as Error).name).toBe('DataCloneError')
    }
  }
  expect(transferred).toBeGreaterThan(0) // the one of 100,000 bytes is alone
  await bob.flush()
  expect(alice.health().held).toBe(0)
})

test('messages of every size around a record, and what is kept of them, are intact after thousands more', async () => {
  await using both = await pair(['x'])
  const { alice, bob, aliceId } = both
  const sizes = [0, 1, 63, 64, 65, 1023, 8186, 8187, 8188, 65_480, 65_485, 65_486, 65_489, 65_507, 131_000, 1_048_576]
  const inbox = alice.messages('x')
  const kept: { size: number; fill: number; data: Uint8Array }[] = []
  const reading = (async () => {
    for (let i = 0; i < 40 * sizes.length; i++) {
      const [message] = await collect(inbox, 1)
      if (i % 7 === 0)
        kept.push({ size: sizes[i % sizes.length] as number, fill: i % 251, data: message?.data as Uint8Array })
    }
  })()
  const reused = new Uint8Array(1_048_576)
  for (let i = 0; i < 40 * sizes.length; i++) {
    reused.fill(i % 251) // the caller's memory is its own again as soon as `send` has returned
    await bob.send(aliceId, 'x', reused.subarray(0, sizes[i % sizes.length]))
  }
  await reading
  for (const { size, fill, data } of kept) {
    expect(data.length).toBe(size)
    expect(data.every((byte) => byte === fill)).toBe(true)
  }
})

test('a frame is one write, and hardly ever is one sent back for more room', async () => {
  const heartbeat = { interval: 60_000, timeout: 180_000 }
  await using both = await pair(['x'], { alice: { heartbeat }, bob: { heartbeat } })
  const { alice, bob, aliceId, bobId } = both
  // Nothing is consumed, so nothing is acknowledged: what is written are the records, and what libp2p itself says.
  const send = async (count: number, size: number): Promise<void> => {
    const before = alice.peerStats(bobId)?.messagesReceived as number
    // All at once: so credit is asked for once.
    await Promise.all(Array.from({ length: count }, () => bob.send(aliceId, 'x', new Uint8Array(size))))
    await eventually(() => alice.peerStats(bobId)?.messagesReceived === before + count)
  }
  await send(1, 10)
  using single = vi.spyOn(Socket.prototype as unknown as { _write(piece: Uint8Array): void }, '_write')
  using gathered = vi.spyOn(Socket.prototype as unknown as { _writev(): void }, '_writev')
  await send(15, 65_000)
  expect(single.mock.calls.filter(([piece]) => piece.length === 2)).toEqual([])
  expect(gathered.mock.calls.length).toBeGreaterThanOrEqual(15)
  expect(gathered.mock.calls.length).toBeLessThan(25) // libp2p alone would answer each with a frame of its own
})
