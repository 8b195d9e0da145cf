import { collect, eventually, makeNode, pair } from '@glueberry/testkit'
import { expect, test } from 'vitest'
import { GlueberryError, type Message, type PeerId } from '../src/index.ts'

test('a text and bytes arrive as they were sent, with who and where and which', async () => {
  await using nodes = await pair(['chat', 'files'])
  const { alice, bob, aliceId, bobId } = nodes
  await using inbox = alice.messages()
  const bytes = Uint8Array.of(1, 2, 3)
  await bob.send(aliceId, 'chat', 'grüße')
  await bob.send(aliceId, 'files', bytes)
  bytes.fill(9) // the caller may reuse its memory at once
  const [first, second] = (await collect(inbox, 2)) as [Message, Message]
  expect([first.text(), first.stream, first.peerId, first.sequence, first.redelivered]).toEqual([
    'grüße',
    'chat',
    bobId,
    1,
    false,
  ])
  expect([...second.data]).toEqual([1, 2, 3])
  expect(second.data).toBeInstanceOf(Uint8Array)
  expect(Buffer.isBuffer(second.data)).toBe(false)
  await alice.send(bobId, 'chat', 'back') // the other way, on the same session
  await using answers = bob.messages('chat')
  expect((await answers.next()).value?.text()).toBe('back')
})

test('every size arrives whole: empty, around a record’s end, in many fragments, the largest', async () => {
  await using nodes = await pair(['x'])
  const { alice, bob, aliceId } = nodes
  await using inbox = alice.messages()
  const sizes = [
    0, 1, 127, 128, 16_383, 16_384, 65_480, 65_485, 65_486, 65_489, 65_490, 65_507, 65_536, 131_072, 300_000, 1_048_576,
  ]
  const sending = (async () => {
    for (const [i, size] of sizes.entries()) await bob.send(aliceId, 'x', new Uint8Array(size).fill(i + 1))
  })()
  for (const [i, message] of (await collect(inbox, sizes.length)).entries()) {
    expect(message.data.length).toBe(sizes[i])
    expect(message.data.every((byte) => byte === i + 1)).toBe(true)
  }
  await sending
})

test('100,000 messages both ways on several names at once: each in order, exactly once', async () => {
  const names = ['a', 'b', 'c', 'd'] as const
  await using nodes = await pair(names)
  const { alice, bob, aliceId, bobId } = nodes
  const each = 25_000
  const receive = async (node: typeof alice, from: PeerId): Promise<void> => {
    const next = { a: 0, b: 0, c: 0, d: 0 }
    let total = 0
    for await (const message of node.messages()) {
      if (message.peerId !== from) throw new Error('a stranger')
      const expected = next[message.stream]++
      if (message.sequence !== expected + 1 || message.text() !== `${message.stream} ${expected}`) {
        throw new Error(`${message.stream} ${message.sequence}: expected ${expected}, got ${message.text()}`)
      }
      if (++total === names.length * each) break
    }
    expect(next).toEqual({ a: each, b: each, c: each, d: each })
  }
  const send = (node: typeof alice, to: PeerId) =>
    names.map(async (name) => {
      for (let i = 0; i < each; i++) await node.send(to, name, `${name} ${i}`)
    })
  await Promise.all([receive(alice, bobId), receive(bob, aliceId), ...send(bob, aliceId), ...send(alice, bobId)])
  await Promise.all([alice.flush(), bob.flush()])
  expect(alice.peerStats(bobId)).toMatchObject({ messagesSent: 100_000, messagesReceived: 100_000, redelivered: 0 })
  expect([alice.buffered(bobId), alice.health().held]).toEqual([{ messages: 0, bytes: 0 }, 0])
})

test('three nodes: each hears the other two, and peers take turns within a name', async () => {
  await using a = await makeNode({ streams: ['x'] })
  await using b = await makeNode({ streams: ['x'] })
  await using c = await makeNode({ streams: ['x'] })
  const target = await b.node.connect(a.node.addrs)
  await c.node.connect(a.node.addrs)
  for (let i = 0; i < 100; i++) await b.node.send(target, 'x', `b${i}`)
  for (let i = 0; i < 100; i++) await c.node.send(target, 'x', `c${i}`)
  await eventually(
    () =>
      a.node.allPeerStats().size === 2 && [...a.node.allPeerStats().values()].every((s) => s.messagesReceived === 100),
  )
  await using inbox = a.node.messages()
  const texts = (await collect(inbox, 200)).map((message) => message.text())
  expect(texts.filter((text) => text.startsWith('b'))).toEqual(Array.from({ length: 100 }, (_, i) => `b${i}`))
  expect(texts.filter((text) => text.startsWith('c'))).toEqual(Array.from({ length: 100 }, (_, i) => `c${i}`))
  expect(new Set(texts.slice(0, 2).map((text) => text[0]))).toEqual(new Set(['b', 'c']))
})

test('send with confirm resolves when the other application has consumed, flush when everything has been', async () => {
  await using nodes = await pair(['x'])
  const { alice, bob, aliceId } = nodes
  let confirmed = false
  const confirming = bob.send(aliceId, 'x', 'one', { confirm: true }).then(() => {
    confirmed = true
  })
  const flushing = bob.flush(aliceId, { stream: 'x' })
  await eventually(() => alice.peerStats(bob.peerId)?.messagesReceived === 1)
  expect(confirmed).toBe(false)
  expect(bob.buffered(aliceId, 'x')).toEqual({ messages: 1, bytes: 3 })
  await using inbox = alice.messages('x')
  await inbox.next()
  await Promise.all([confirming, flushing])
  expect(bob.buffered(aliceId)).toEqual({ messages: 0, bytes: 0 })
})

test('an aborted confirm is UNCONFIRMED, and its message is delivered all the same', async () => {
  await using nodes = await pair(['x'])
  const { alice, bob, aliceId } = nodes
  const controller = new AbortController()
  const confirming = bob.send(aliceId, 'x', 'one', { confirm: true, signal: controller.signal })
  controller.abort(new Error('enough'))
  await expect(confirming).rejects.toMatchObject({ code: 'UNCONFIRMED', cause: { message: 'enough' } })
  await using inbox = alice.messages('x')
  expect((await inbox.next()).value?.text()).toBe('one')
})

test('once connect has resolved, the other side may send too, at once', async () => {
  for (let round = 0; round < 10; round++) {
    await using alice = await makeNode({ streams: ['x'] })
    await using bob = await makeNode({ streams: ['x'] })
    await bob.node.connect(alice.node.addrs)
    await alice.node.send(bob.node.peerId, 'x', 'welcome')
    await using inbox = bob.node.messages('x')
    expect((await inbox.next()).value?.text()).toBe('welcome')
  }
})

test('a consumer that leaves and returns goes on where it was', async () => {
  await using nodes = await pair(['x'])
  const { alice, bob, aliceId } = nodes
  for (let i = 0; i < 10; i++) await bob.send(aliceId, 'x', String(i))
  const seen: string[] = []
  for (let visit = 0; visit < 5; visit++) {
    for await (const message of alice.messages('x')) {
      seen.push(message.text())
      if (seen.length % 2 === 0) break
    }
  }
  expect(seen).toEqual(['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
})

test('concurrent calls of next are served in order, and those that are left waiting lose nothing', async () => {
  await using nodes = await pair(['x'])
  const { alice, bob, aliceId } = nodes
  const inbox = alice.messages('x')
  const waiting = [inbox.next(), inbox.next(), inbox.next()]
  await bob.send(aliceId, 'x', 'a')
  await bob.send(aliceId, 'x', 'b')
  expect((await Promise.all(waiting.slice(0, 2))).map(({ value }) => value?.text())).toEqual(['a', 'b'])
  await inbox.return()
  expect(await waiting[2]).toEqual({ done: true, value: undefined })
  expect(await inbox.next()).toEqual({ done: true, value: undefined })
  await bob.send(aliceId, 'x', 'c')
  await using again = alice.messages('x')
  expect((await again.next()).value?.text()).toBe('c')
})

test('a name has one consumer; another name is free', async () => {
  await using nodes = await pair(['x', 'y'])
  const { alice } = nodes
  const inbox = alice.messages('x')
  expect(() => alice.messages('x')).toThrow(expect.objectContaining({ code: 'STREAM_TAKEN' }))
  expect(() => alice.messages()).toThrow(expect.objectContaining({ code: 'STREAM_TAKEN' }))
  expect(() => alice.handle('x', () => {})).toThrow(expect.objectContaining({ code: 'STREAM_TAKEN' }))
  const other = alice.handle('y', () => {})
  await inbox.return()
  alice.messages('x')
  await other.close()
  alice.handle('y', () => {})
})

test('sends without waiting keep their order', async () => {
  await using nodes = await pair(['x'])
  const { alice, bob, aliceId } = nodes
  const sends = Array.from({ length: 500 }, (_, i) => bob.send(aliceId, 'x', String(i)))
  await using inbox = alice.messages('x')
  const texts = (await collect(inbox, 500)).map((message) => message.text())
  expect(texts).toEqual(Array.from({ length: 500 }, (_, i) => String(i)))
  await Promise.all(sends)
})

test('a stream that is added while connected is accepted from then on', async () => {
  await using alice = await makeNode<string>({ streams: ['x'] })
  await using bob = await makeNode<string>({ streams: ['x'] })
  const aliceId = await bob.node.connect(alice.node.addrs)
  await expect(bob.node.send(aliceId, 'later', 'early')).rejects.toMatchObject({
    code: 'STREAM_NOT_ACCEPTED',
    stream: 'later',
    peerId: aliceId,
  })
  alice.node.addStream('later')
  alice.node.addStream('later')
  await using inbox = alice.node.messages('later')
  for (;;) {
    // The news travels: until it has come, the send says what it said before.
    const error = await bob.node.send(aliceId, 'later', 'now').catch((reason: unknown) => reason)
    if (typeof error === 'number') break
    expect(GlueberryError.is(error, 'STREAM_NOT_ACCEPTED')).toBe(true)
    await new Promise<void>((resolve) => setImmediate(resolve))
  }
  expect((await inbox.next()).value?.text()).toBe('now')
})
