import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Child, eventually, makeNode, spawnNode, withChance } from '@glueberry/testkit'
import { afterAll, expect, test } from 'vitest'
import type { Multiaddr } from '../src/index.ts'

// Real processes and real signals.

const program = fileURLToPath(new URL('children/peer.ts', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'glueberry-processes-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
let keys = 0
const newKey = (): string => join(folder, `${keys++}.key`)
const heartbeat = { interval: 100, timeout: 500 }
const reconnect = { baseDelay: 1, maxDelay: 20 }

const received = (lines: readonly string[]): [number, boolean][] =>
  lines.flatMap((line) => {
    const match = /^got (\d+)( again)?$/.exec(line)
    return match === null ? [] : [[Number(match[1]), match[2] !== undefined] as [number, boolean]]
  })
const addressOf = async (child: Child): Promise<Multiaddr> => (await child.line(/^listening (.*)$/))[1] as Multiaddr
/** Without the peer's id: to listen there again. */
const place = (address: Multiaddr): Multiaddr => address.replace(/\/p2p\/.*/, '')

test('SIGKILL of the receiver, again and again: it is told to be another, gets what it had not consumed, marked, and misses nothing', async () => {
  const key = newKey()
  await using bob = await makeNode({ streams: ['x'], reconnect })
  const established = bob.node.subscribeEvents({ types: ['established'] })
  const records: string[] = []
  const live = (...listen: string[]): Child => {
    const record = join(folder, `received-${records.length}`)
    records.push(record)
    return spawnNode([program, 'receives', key, '-', ...listen], { env: { ...process.env, RECORD: record } })
  }
  let child = live()
  const address = await addressOf(child)
  const id = await bob.node.connect(address)
  let sent = 0
  for (let life = 0; life < 4; life++) {
    await established.next()
    const until = sent + 300
    const sending = (async () => {
      while (sent < until) await bob.node.send(id, 'x', String(++sent))
    })()
    await child.line(new RegExp(`^got ${until - 150}\\b`)) // in the midst of it
    if (life === 3) break
    child.kill('SIGKILL')
    expect(await child.ended).toBe('SIGKILL')
    child = live(place(address))
    await sending
  }
  await bob.node.flush()
  await child.line(new RegExp(`^got ${sent}\\b`))
  const seen = new Set<number>()
  const lifetimes = records.map((record) => received(readFileSync(record, 'utf8').split('\n')))
  for (const life of lifetimes) {
    let before: number | undefined
    for (const [number, again] of life) {
      if (before !== undefined) expect(number).toBe(before + 1)
      if (seen.has(number)) expect([number, again]).toEqual([number, true]) // none comes twice without its mark
      seen.add(number)
      before = number
    }
  }
  const missing = Array.from({ length: sent }, (_, i) => i + 1).filter((number) => !seen.has(number))
  expect(missing).toEqual([])
  const told = bob.events.filter((event) => event.type === 'established').map(({ resumed }) => resumed)
  expect(told).toEqual([false, false, false, false])
  child.kill('SIGTERM')
  expect(await child.ended).toBe(0)
})

test('SIGKILL of the sender, again and again: what came of each life is in order from its first, and nothing comes twice', async () => {
  const key = newKey()
  await using alice = await makeNode({ streams: ['x'] })
  const lives: number[][] = []
  alice.node.handle('x', (message) => {
    const { sequence, redelivered } = message
    if (sequence === 1) lives.push([])
    lives.at(-1)?.push(redelivered || Number(message.text()) !== sequence ? Number.NaN : sequence)
  })
  for (let life = 1; life <= 3; life++) {
    await using child = spawnNode([program, 'sends', key, alice.node.addrs[0] as string])
    await eventually(() => lives.length === life && (lives.at(-1)?.length ?? 0) > 1000)
    child.kill('SIGKILL')
    await child.ended
  }
  await eventually(() => alice.node.health().peers.established === 0)
  expect(lives).toEqual(lives.map(({ length }) => Array.from({ length }, (_, i) => i + 1)))
  expect(lives).toHaveLength(3)
})

test('SIGSTOP for longer than the heartbeat’s time-out, then SIGCONT: silence is noticed, the session resumed, nothing lost', async () => {
  await using bob = await makeNode({ streams: ['x'], heartbeat, reconnect })
  await using child = spawnNode([program, 'receives', newKey(), '-'])
  const id = await bob.node.connect(await addressOf(child))
  let sent = 0
  for (let round = 1; round <= 3; round++) {
    for (let i = 0; i < 100; i++) await bob.node.send(id, 'x', String(++sent))
    const lost = bob.node.subscribeEvents({ types: ['disconnected'] })
    child.kill('SIGSTOP')
    expect((await lost.next()).value).toMatchObject({ reason: { kind: 'timeout' } })
    await bob.node.send(id, 'x', String(++sent))
    child.kill('SIGCONT')
    await bob.node.flush(id)
  }
  await child.line(new RegExp(`^got ${sent}$`))
  expect(received(child.lines)).toEqual(Array.from({ length: sent }, (_, i) => [i + 1, false]))
  const told = bob.events.filter((event) => event.type === 'established').map(({ resumed }) => resumed)
  expect(told).toEqual([false, ...told.slice(1).map(() => true)])
  child.kill('SIGTERM')
  expect(await child.ended).toBe(0)
})

/** A program that was told to stop has ended by itself, in good order, once. */
async function expectCleanEnd(child: Child, signals = 1): Promise<void> {
  const code = await child.ended
  // Before its first line a program cannot listen to signals: it ends by it, with nothing made.
  if (code === 'SIGTERM' && child.lines.length === 0) return expect(child.errorLines).toEqual([])
  // Of several, one may come when it has stopped and no longer listens.
  expect(signals === 1 ? [0] : [0, 'SIGTERM']).toContain(code)
  expect(child.errorLines).toEqual([])
  expect(child.lines.at(-1)).toMatch(/^stopped [01] times, 1 signals$/)
}

test('SIGTERM at 70 random instants between exec and established: it ends by itself, with code 0, having cleaned up once', async () => {
  await withChance(async (random) => {
    await using alice = await makeNode({ streams: ['x'], limits: { pendingPerAddress: 64 } })
    // How long it takes here is what the instants are spread over; more than that is established already.
    const began = performance.now()
    {
      await using first = spawnNode([program, 'waits', newKey(), alice.node.addrs[0] as string])
      await first.line(/^established/)
      first.kill('SIGTERM')
      await expectCleanEnd(first)
    }
    const span = performance.now() - began
    const run = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i++) {
        await using child = spawnNode([program, 'waits', newKey(), alice.node.addrs[0] as string])
        await new Promise((resolve) => setTimeout(resolve, random() * span))
        child.kill('SIGTERM')
        await expectCleanEnd(child)
      }
    }
    await Promise.all([run(35), run(35)])
    await eventually(() => alice.node.health().peers.established === 0)
  })
})

test('SIGTERM at 30 random instants of a backoff, one of them as three signals in a burst', async () => {
  await withChance(async (random) => {
    const run = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i++) {
        const alice = await makeNode({ streams: ['x'] })
        await using child = spawnNode([program, 'waits', newKey(), alice.node.addrs[0] as string])
        await child.line(/^established/)
        await alice.node.stop()
        await child.line(/^reconnecting/)
        await new Promise((resolve) => setTimeout(resolve, random() * 30))
        const signals = i === 0 ? 3 : 1
        for (let signal = 0; signal < signals; signal++) child.kill('SIGTERM')
        await expectCleanEnd(child, signals)
      }
    }
    await Promise.all([run(15), run(15)])
  })
})
