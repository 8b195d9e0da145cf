import { SimulatedClock } from '@glueberry/testkit'
import { ByteQueue } from '@glueberry/wire'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { originOf, parseTarget } from '../src/address.ts'
import { type Clock, systemClock } from '../src/clock.ts'
import { Admission } from '../src/connection/admission.ts'
import { type AttemptOptions, attempt } from '../src/connection/attempt.ts'
import { decides } from '../src/connection/session-set.ts'
import { GlueberryError, Identity } from '../src/index.ts'
import { PendingMemory } from '../src/limits/pending-memory.ts'
import { Blocklist } from '../src/peers/blocklist.ts'
import { printable } from '../src/printable.ts'
import { Heartbeat } from '../src/session/heartbeat.ts'
import { NumberWindow } from '../src/session/number-window.ts'
import { Account, Budget } from '../src/stream/budget.ts'
import { RecordWatch, splitRecords } from '../src/transport/records.ts'
import type { Link } from '../src/transport/transport.ts'

describe('heartbeat', () => {
  const make = () => {
    const clock = new SimulatedClock()
    const seen = { pings: 0, deaths: 0 }
    const heartbeat = new Heartbeat({
      clock,
      interval: 3000,
      timeout: 9000,
      ping: () => seen.pings++,
      dead: () => seen.deaths++,
    })
    heartbeat.start()
    return { clock, heartbeat, seen }
  }

  test('a peer that pings need not be pinged; one that has stopped to is', () => {
    const { clock, heartbeat, seen } = make()
    for (let i = 0; i < 20; i++) {
      clock.advance(2999)
      heartbeat.heard()
      heartbeat.pinged()
    }
    expect(seen.pings).toBe(0)
    clock.advance(3750)
    expect(seen.pings).toBe(1)
  })

  test('a time-out that is hardly longer than the interval leaves time for an answer', () => {
    const clock = new SimulatedClock()
    let [pings, deaths] = [0, 0]
    const dead = (): void => void deaths++
    const heartbeat = new Heartbeat({ clock, interval: 1000, timeout: 1040, ping: () => pings++, dead })
    heartbeat.start()
    for (let i = 1; i <= 100; i++) {
      while (pings < i) clock.advance(1)
      clock.advance(20) // the answer
      heartbeat.heard()
    }
    expect(deaths).toBe(0)
    heartbeat.stop()
  })

  test('a silent peer is dead after the time-out, once; one that speaks lives', () => {
    const { clock, heartbeat, seen } = make()
    for (let i = 0; i < 20; i++) {
      clock.advance(4000)
      heartbeat.heard()
    }
    expect(seen.pings).toBeGreaterThan(20)
    expect(seen).toMatchObject({ deaths: 0 })
    clock.advance(8999)
    expect(seen.deaths).toBe(0)
    clock.advance(1)
    expect(seen.deaths).toBe(1)
    clock.advance(100_000)
    expect(seen.deaths).toBe(1)
    expect(clock.pending).toBe(0)
  })

  test('a machine that stood still starts afresh', () => {
    const { clock, seen } = make()
    clock.stall(60_000)
    clock.advance(0)
    expect(seen.deaths).toBe(0)
    clock.advance(8999)
    expect(seen.deaths).toBe(0)
    clock.advance(1001)
    expect(seen.deaths).toBe(1)
  })

  test('what arrived while the loop was busy is read before anyone is dead', () => {
    const { clock, heartbeat, seen } = make()
    clock.setTimer(() => clock.setImmediate(() => heartbeat.heard()), 9000) // read in the turn in which the death timer fires
    clock.advance(9000)
    expect(seen.deaths).toBe(0)
  })

  test('stop leaves no timer', () => {
    const { clock, heartbeat } = make()
    heartbeat.stop()
    heartbeat.stop()
    expect(clock.pending).toBe(0)
  })
})

describe('admission', () => {
  function make(max: number, maxPerOrigin: number) {
    const clock = new SimulatedClock()
    const admission = new Admission({ clock, memory: new PendingMemory(1000), max, maxPerOrigin, timeout: 60_000 })
    const dropped: string[] = []
    return { clock, admission, dropped, admit: (origin: string) => admission.admit(origin, () => dropped.push(origin)) }
  }

  test('counts per origin, until released, once', () => {
    const { admit, dropped } = make(3, 2)
    const [first] = [admit('a'), admit('a')]
    expect(admit('a')).toBeUndefined()
    first?.release()
    first?.release()
    expect(admit('a')).toBeDefined()
    expect(admit('a')).toBeUndefined()
    expect(dropped).toEqual([])
  })

  test('when all places are taken, the oldest goes; and who had to go makes nobody else go for a while', () => {
    const { admit, dropped, clock } = make(2, 2)
    admit('a')
    admit('b')
    admit('c')?.release()
    expect(dropped).toEqual(['a'])
    expect(admit('d')).toBeDefined() // the place that c no longer needs
    expect(admit('a')).toBeUndefined()
    clock.advance(5000)
    expect(admit('a')).toBeDefined()
    expect(dropped).toEqual(['a', 'b'])
  })

  test('known peers come first and go last', () => {
    const { admit, admission, dropped, clock } = make(2, 2)
    admission.know('friend')
    const place = admit('friend')
    admit('a')
    admit('b')
    admit('c')
    expect(dropped).toEqual(['a', 'b'])
    admit('friend')
    expect(dropped).toEqual(['a', 'b', 'c'])
    expect(admit('d')).toBeUndefined() // every place is a friend's
    clock.advance(5000)
    expect(admit('d')).toBeDefined() // who is still not done is not quick
    expect(dropped).toEqual(['a', 'b', 'c', 'friend'])
    place?.release()
  })

  test('whoever holds most loses a place first', () => {
    const { admit, dropped } = make(4, 3)
    for (const origin of ['quiet', 'greedy', 'greedy', 'greedy']) admit(origin)
    expect(admit('new')).toBeDefined()
    expect(dropped).toEqual(['greedy'])
  })

  test('of one origin, who has held a place for long goes for its neighbour', () => {
    const { admit, dropped, clock } = make(10, 2)
    admit('nat')
    admit('nat')
    expect(admit('nat')).toBeUndefined() // both may be as quick as it is
    clock.advance(1000)
    expect(admit('nat')).toBeDefined()
    expect(dropped).toEqual(['nat'])
  })

  test('two hundred origins that dial again at once leave a place to one that needs it for some milliseconds', () => {
    const { admission, clock } = make(64, 8)
    let attacks = true
    const idle = (origin: string): void => {
      if (!attacks) return
      const again = (): void => void clock.setTimer(() => idle(origin), 1)
      if (admission.admit(origin, again) === undefined) again()
    }
    for (let i = 0; i < 200; i++) idle(`attacker ${i}`)
    let served = 0
    for (let i = 0; i < 100; i++) {
      clock.advance(100)
      let dropped = false
      const place = admission.admit(`honest ${i}`, () => {
        dropped = true
      })
      clock.advance(50)
      if (place !== undefined && !dropped) served++
      place?.release()
    }
    attacks = false
    expect(served).toBe(100)
  })

  test.each([
    ['/ip4/10.1.2.3/tcp/9', '10.1.2.3'],
    ['/ip6/2001:db8:1:2:3:4:5:6/tcp/9', '2001:0db8:0001:0002::/64'],
    ['/ip6/2001:db8:1:2::/udp/9', '2001:0db8:0001:0002::/64'],
    ['/unix/a', '/unix/a'],
  ])('%s comes from %s', (address, origin) => expect(originOf(address)).toBe(origin))

  test('aborts who begins no session in time, and leaves who does alone', () => {
    const clock = new SimulatedClock()
    const admission = new Admission({ clock, memory: new PendingMemory(1000), max: 3, maxPerOrigin: 3, timeout: 1000 })
    const aborted: string[] = []
    admission.admit('slow', () => aborted.push('slow'))
    admission.admit('quick', () => aborted.push('quick'))?.sessionBegan()
    clock.advance(2000)
    expect(aborted).toEqual(['slow'])
  })
})

test('a blocklist forgets in time, tells it while started, and leaves no timer', () => {
  const clock = new SimulatedClock()
  const { peerId } = Identity.generate()
  const ended: string[] = []
  const list = new Blocklist(clock, (id) => ended.push(id))
  const until = (delay: number) => ({ until: clock.now() + delay })
  list.set(peerId, { ...until(1000), reason: 'noise' })
  expect([list.get(peerId)?.reason, clock.pending]).toEqual(['noise', 0])
  clock.advance(1000)
  expect([list.get(peerId), ended]).toEqual([undefined, []])
  list.start()
  list.set(peerId, until(1000))
  list.set(peerId, until(5000))
  clock.advance(4999)
  expect(list.get(peerId)).toBeDefined()
  ended.length = 0
  clock.advance(1)
  expect([list.get(peerId), ended]).toEqual([undefined, [peerId]])
  list.set(peerId, until(1000))
  list.stop()
  expect(clock.pending).toBe(0)
})

test('numbers of streams may come in any order within 256, each once', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 600 }), { minLength: 100, maxLength: 300 }), (numbers) => {
      const window = new NumberWindow()
      const seen = new Set<number>()
      let highest = -1
      for (const number of numbers) {
        expect(window.accept(number)).toBe(!seen.has(number) && number > highest - 256)
        seen.add(number)
        highest = Math.max(highest, number)
      }
    }),
  )
})

test('a budget says whose limit would be passed, its own or its parent’s', () => {
  const node = new Budget(100)
  const [a, b] = [new Budget(80, node), new Budget(80, node)]
  const [first, second] = [new Account(a), new Account(b)]
  expect(first.shortOf(81, 1)).toBe('own')
  expect(first.shortOf(41, 0.5)).toBe('own')
  first.set(70, 0)
  expect(node.used).toBe(70)
  expect(second.shortOf(31, 1)).toBe('parent')
  expect(second.shortOf(30, 1)).toBeUndefined()
  second.set(30, 0)
  first.set(0, 0)
  expect(node.used).toBe(30)
  expect([second.shortOf(50, 1), second.shortOf(51, 1)]).toEqual([undefined, 'own'])
})

describe('which session lives', () => {
  test('exactly one of two nodes decides', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 38, maxLength: 38 }),
        fc.uint8Array({ minLength: 38, maxLength: 38 }),
        (a, b) => {
          fc.pre(Buffer.compare(a, b) !== 0)
          expect(decides(a, b)).toBe(!decides(b, a))
          expect(decides(a, b)).toBe(Buffer.compare(a, b) < 0)
        },
      ),
    )
  })
})

test('what connect takes: text, object, one address or several of one peer', () => {
  const { peerId } = Identity.generate()
  const address = '/ip4/127.0.0.1/tcp/9000'
  expect(parseTarget(peerId)).toEqual({ peerId, addresses: [] })
  expect(parseTarget(`${address}/p2p/${peerId}`)).toEqual({ peerId, addresses: [address] })
  expect(
    parseTarget([`${address}/p2p/${peerId}`, `/dns4/example.org/tcp/1/p2p/${peerId}`, `${address}/p2p/${peerId}`]),
  ).toEqual({
    peerId,
    addresses: [address, '/dns4/example.org/tcp/1'],
  })
  expect(parseTarget({ type: 'Ed25519', toMultihash: () => null, toString: () => peerId })).toEqual({
    peerId,
    addresses: [],
  })
})

test('a block lasts as long as it was meant to, whatever becomes of the machine’s clock', () => {
  const clock = new SimulatedClock()
  let jump = 0
  const jumping: Clock = {
    now: () => clock.now() + jump,
    elapsed: () => clock.elapsed(),
    setTimer: (task, delay) => clock.setTimer(task, delay),
    setImmediate: (task) => clock.setImmediate(task),
    randomBytes: (length) => clock.randomBytes(length),
  }
  const list = new Blocklist(jumping, () => {})
  const { peerId } = Identity.generate()
  list.set(peerId, { until: jumping.now() + 1000 })
  list.start()
  jump = 3_600_000
  expect(list.get(peerId)).toBeDefined()
  jump = -3_600_000
  clock.advance(999)
  expect(list.get(peerId)).toBeDefined()
  clock.advance(1)
  expect(list.get(peerId)).toBeUndefined()
})

test('what is printable stays, and nothing else does', () => {
  expect(printable('wörld 😀 👩‍🚀 ſ')).toBe('wörld 😀 👩‍🚀 ſ')
  expect(printable('a\u001b[2J\u200b\u061c\u202e\u{e0041}\ue000\ud800\u2028\nb')).toBe(
    `a\ufffd[2J${'\ufffd'.repeat(8)}b`,
  )
})

test('the pieces of a record are counted anew for each record', () => {
  const record = Uint8Array.of(0, 17, ...new Uint8Array(17))
  const watch = new RecordWatch({
    clock: new SimulatedClock(),
    timeout: 1000,
    quietFor: () => 0,
    longest: () => 1000,
    late: () => {},
  })
  const queue = new ByteQueue()
  const records: Uint8Array[] = []
  for (let i = 0; i < 100; i++) {
    for (const piece of [record.slice(0, 10), record.slice(10)]) {
      queue.push(piece)
      records.push(...splitRecords(queue, watch))
    }
  }
  expect(records).toEqual(Array.from({ length: 100 }, () => record))
})

test.each([
  ['while nothing comes on its connection', Number.POSITIVE_INFINITY, 1],
  ['while other things come on its connection', 0, 10],
])('the rest of a record is awaited %s: %s ms quiet, %s time-outs', (_, quiet, timeouts) => {
  const clock = new SimulatedClock()
  let late = 0
  const watch = new RecordWatch({
    clock,
    timeout: 1000,
    quietFor: () => quiet,
    longest: () => 1000,
    late: () => late++,
  })
  for (let piece = 1; piece <= 3; piece++) {
    watch.arrived(piece)
    for (let i = 1; i < timeouts; i++) clock.advance(1000)
    clock.advance(999)
    expect(late).toBe(0)
  }
  clock.advance(1)
  expect(late).toBe(1)
  clock.advance(100_000)
  expect([late, clock.pending]).toEqual([1, 0])
})

describe('an attempt that fails before there is a session', () => {
  const peerId = Identity.generate().peerId
  test.each([
    ['a cut connection', new GlueberryError('CONNECT_FAILED', 'cut', { peerId }), 'io', false],
    ['an error that nobody foresaw', new Error('cut'), 'io', false],
    ['silence', new GlueberryError('CONNECT_TIMEOUT', 'silent', { peerId }), 'timeout', false],
    ['another peer at the address', new GlueberryError('WRONG_IDENTITY', 'other', { peerId }), 'authentication', false],
    ['another protocol', new GlueberryError('VERSION_MISMATCH', 'other', { peerId }), 'authentication', true],
  ])('%s', async (_, error, kind, final) => {
    const link = { abort: () => {}, openStream: () => Promise.reject(error) } as unknown as Link
    const options: AttemptOptions = {
      peerId,
      clock: systemClock,
      handshakeTimeout: 1000,
      dial: () => Promise.resolve(link),
      coolingDown: () => false,
      open: () => expect.fail('no stream, no session'),
      outcome: () => Promise.resolve(undefined),
      settled: () => Promise.resolve(),
    }
    const failed = attempt(options, 'anywhere', 1000, new AbortController().signal)
    await expect(failed).rejects.toMatchObject({ reason: { kind, error }, final })
  })
})
