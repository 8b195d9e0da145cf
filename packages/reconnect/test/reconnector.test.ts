import { expect, test } from 'vitest'
import { AddressPool, ReconnectError, Reconnector, type ReconnectorState } from '../src/index.ts'
import { Bench, type Line, settled } from './support.ts'

const outcome = (promise: Promise<unknown>): Promise<unknown> => promise.then(() => 'fulfilled').catch((error) => error)

test('however many want it, one attempt runs; a caller that aborts spares the others', async () => {
  const bench = new Bench()
  const controller = new AbortController()
  const callers = [1, 2, 3].map(() => bench.reconnector.connect())
  const leaving = outcome(bench.reconnector.connect({ signal: controller.signal }))
  await settled()
  controller.abort('mine')
  expect(await leaving).toBe('mine')
  expect(bench.attempts).toHaveLength(1)
  expect(bench.last.signal.aborted).toBe(false)
  const line = bench.last.succeed()
  expect(await Promise.all(callers)).toEqual([line, line, line])
  expect(await bench.reconnector.connect()).toBe(line)
  expect(bench.attempts).toHaveLength(1)
})

test('the last caller that leaves calls the attempt off; the next one waits until it is gone; a late success is disposed of', async () => {
  const bench = new Bench()
  const controller = new AbortController()
  const leaving = outcome(bench.reconnector.connect({ signal: controller.signal }))
  await settled()
  controller.abort('mine')
  expect(await leaving).toBe('mine')
  expect([bench.last.signal.aborted, bench.reconnector.state.name]).toEqual([true, 'idle'])
  const again = bench.reconnector.connect()
  await settled()
  expect(bench.attempts).toHaveLength(1) // the first one is still on its way out
  const late = bench.last.succeed()
  await settled()
  expect(bench.disposed).toEqual([late])
  expect(bench.attempts).toHaveLength(2)
  expect(await Promise.all([again, bench.last.succeed()])).toHaveLength(2)
  expect(await outcome(bench.reconnector.connect({ signal: AbortSignal.abort('before') }))).toBe('before')
})

test('connect alone is one attempt; from success on it is kept', async () => {
  const bench = new Bench()
  const failing = outcome(bench.reconnector.connect())
  await settled()
  bench.last.fail('no')
  expect(await failing).toBe('no')
  expect([bench.reconnector.state.name, bench.clock.pending]).toEqual(['idle', 0])
  await bench.up()
  bench.confirm()
  bench.lose('cut')
  expect(bench.reconnector.state).toEqual({ name: 'waiting', attempt: 1, delay: 0, error: 'cut' })
  bench.clock.advance(0)
  await settled()
  expect(bench.reconnector.state).toEqual({ name: 'attempting', attempt: 1 })
})

test('keep goes on after failures, with growing waits, and only what lasted begins anew', async () => {
  const bench = new Bench()
  bench.reconnector.keep()
  const delays: number[] = []
  for (let i = 0; i < 4; i++) {
    await settled()
    bench.last.fail(`no ${i}`)
    await settled()
    const { state } = bench.reconnector
    if (state.name === 'waiting') delays.push(state.delay)
    bench.clock.advance(10_000)
  }
  expect(delays).toEqual([100, 200, 400, 800])
  await settled()
  bench.last.succeed()
  await settled()
  bench.lose('did not last')
  expect(bench.reconnector.state).toMatchObject({ name: 'waiting', attempt: 6, delay: 1600 })
  bench.reconnector.retryNow()
  await settled()
  bench.last.succeed()
  await settled()
  bench.confirm()
  bench.lose('lasted')
  expect(bench.reconnector.state).toMatchObject({ name: 'waiting', attempt: 1, delay: 0 })
})

test.each([
  ['retryNow', (bench: Bench) => bench.reconnector.retryNow(), 'attempting'],
  ['connect', (bench: Bench) => void outcome(bench.reconnector.connect()), 'attempting'],
  ['cancel', (bench: Bench) => void bench.reconnector.cancel(), 'idle'],
  ['close', (bench: Bench) => void bench.reconnector.close(), 'closed'],
  ['adopt', (bench: Bench) => bench.reconnector.adopt({ name: 'inbound', disposed: 0 }), 'up'],
])('a wait ends at once by %s', async (_, end, state) => {
  const bench = new Bench()
  bench.reconnector.keep()
  await settled()
  bench.last.fail('no')
  await settled()
  expect([bench.reconnector.state.name, bench.clock.pending]).toEqual(['waiting', 1])
  end(bench)
  expect([bench.reconnector.state.name, bench.clock.pending]).toEqual([state, 0])
})

test('every waiter is woken exactly once: by failure, by cancel, by close', async () => {
  for (const [end, error] of [
    [(bench: Bench) => bench.last.fail('no'), 'no'],
    [(bench: Bench) => void bench.reconnector.cancel('cancelled'), 'cancelled'],
    [(bench: Bench) => bench.reconnector.close('closed'), 'closed'],
  ] as const) {
    const bench = new Bench()
    const woken: unknown[] = []
    for (let i = 0; i < 3; i++) bench.reconnector.connect().catch((reason) => woken.push(reason))
    await settled()
    void end(bench)
    await settled()
    expect(woken).toEqual([error, error, error])
  }
})

test('an attempt tries each address once, the last good one first, those added meanwhile too', async () => {
  const bench = new Bench({ pool: new AddressPool(['a', 'b', 'c']) })
  const connecting = bench.reconnector.connect()
  await settled()
  bench.pool.add('d')
  for (let i = 0; i < 3; i++) {
    bench.last.fail(`no ${i}`)
    await settled()
  }
  expect(bench.attempts.map(({ address }) => address)).toEqual(['a', 'b', 'c', 'd'])
  bench.last.succeed()
  await connecting
  expect(bench.pool.entries().map(({ failures }) => failures)).toEqual([1, 1, 1, 0])
  void bench.reconnector.cancel()
  const again = outcome(bench.reconnector.connect())
  for (let i = 0; i < 4; i++) {
    await settled()
    bench.last.fail(`no ${i}`)
  }
  expect(bench.attempts.slice(4).map(({ address }) => address)).toEqual(['d', 'b', 'c', 'a'])
  expect(await again).toMatchObject({ errors: ['no 0', 'no 1', 'no 2', 'no 3'] })
})

test('an address that comes to its limit in the midst of an attempt does not shut the others out', async () => {
  const bench = new Bench({ pool: new AddressPool(['a', 'b', 'c'], { attemptsPerAddress: 1 }) })
  bench.reconnector.keep()
  for (let i = 0; i < 3; i++) {
    await settled()
    bench.last.fail('no')
  }
  await settled()
  expect(bench.attempts.map(({ address }) => address)).toEqual(['a', 'b', 'c'])
  bench.reconnector.retryNow()
  await settled()
  expect(bench.reconnector.state).toMatchObject({ name: 'failed', error: { code: 'NO_ADDRESS' } })
  bench.pool.add('a')
  bench.reconnector.keep()
  await settled()
  expect(bench.attempts).toHaveLength(4)
})

test('an error that concerns all addresses ends the attempt', async () => {
  const bench = new Bench({ pool: new AddressPool(['a', 'b']), concernsAll: (error) => error === 'wrong password' })
  const connecting = outcome(bench.reconnector.connect())
  await settled()
  bench.last.fail('wrong password')
  expect(await connecting).toBe('wrong password')
  expect(bench.attempts).toHaveLength(1)
})

test('attempts end when there have been enough, exactly', async () => {
  for (const maxAttempts of [0, 1, 3]) {
    const bench = new Bench({ maxAttempts })
    await bench.up()
    bench.confirm()
    bench.lose('cut')
    for (let i = 0; i < 10; i++) {
      bench.clock.advance(10_000)
      await settled()
      if (bench.reconnector.state.name === 'attempting') bench.last.fail(`no ${i}`)
      await settled()
    }
    expect(bench.attempts).toHaveLength(1 + maxAttempts)
    expect(bench.reconnector.state).toEqual({
      name: 'failed',
      error: maxAttempts === 0 ? 'cut' : `no ${maxAttempts - 1}`,
    })
  }
})

test('giveUp sees an error and the one before', async () => {
  const seen: unknown[][] = []
  const bench = new Bench({
    giveUp: (error, previous) => {
      seen.push([error, previous])
      return error === 'wrong password' && previous === error
    },
  })
  bench.reconnector.keep()
  for (const error of ['io', 'wrong password', 'wrong password', 'never']) {
    await settled()
    if (bench.reconnector.state.name === 'attempting') bench.last.fail(error)
    await settled()
    bench.clock.advance(10_000)
  }
  expect(seen).toEqual([
    ['io', undefined],
    ['wrong password', 'io'],
    ['wrong password', 'wrong password'],
  ])
  expect(bench.reconnector.state).toEqual({ name: 'failed', error: 'wrong password' })
})

test('a delay of the user’s own replaces the backoff; what is no number gives up and says so', async () => {
  const asked: unknown[][] = []
  const delays: unknown[] = [7, Number.POSITIVE_INFINITY, 'soon']
  const bench = new Bench({
    delay: (attempt, error) => {
      asked.push([attempt, error])
      return delays.shift() as number
    },
  })
  bench.reconnector.keep()
  await settled()
  bench.last.fail('one')
  await settled()
  expect(bench.reconnector.state).toMatchObject({ name: 'waiting', delay: 7 })
  bench.clock.advance(7)
  await settled()
  bench.last.fail('two')
  await settled()
  expect([bench.reconnector.state.name, bench.clock.pending]).toEqual(['waiting', 0]) // for ever
  bench.reconnector.retryNow()
  await settled()
  bench.last.fail('three')
  await settled()
  expect(bench.reconnector.state).toMatchObject({ name: 'failed', error: { code: 'INVALID_DELAY' } })
  expect(asked).toEqual([
    [2, 'one'],
    [3, 'two'],
    [4, 'three'],
  ])
  const throwing = new Bench({
    delay: () => {
      throw new Error('mine')
    },
  })
  throwing.reconnector.keep()
  await settled()
  throwing.last.fail('no')
  await settled()
  expect(throwing.reconnector.state).toMatchObject({ name: 'failed', error: { cause: { message: 'mine' } } })
})

test('what is adopted ends the attempt, whose own success is then disposed of; what it replaces too', async () => {
  const bench = new Bench()
  const connecting = bench.reconnector.connect()
  await settled()
  const inbound: Line = { name: 'inbound', disposed: 0 }
  bench.reconnector.adopt(inbound)
  expect(await connecting).toBe(inbound)
  expect(bench.last.signal.aborted).toBe(true)
  const late = bench.last.succeed()
  await settled()
  expect(bench.disposed).toEqual([late])
  bench.reconnector.adopt(inbound) // the same one
  expect(inbound.disposed).toBe(0)
  const other: Line = { name: 'other', disposed: 0 }
  bench.reconnector.adopt(other)
  expect([inbound.disposed, bench.reconnector.state]).toEqual([1, { name: 'up', connection: other }])
})

test('an attempt whose own connection was adopted meanwhile does not dispose of it', async () => {
  const bench = new Bench()
  const connecting = bench.reconnector.connect()
  await settled()
  const line = bench.last.succeed()
  bench.reconnector.adopt(line)
  expect(await connecting).toBe(line)
  await settled()
  expect(line.disposed).toBe(0)
})

test('lost changes nothing unless something is up', async () => {
  const bench = new Bench()
  const states = (): ReconnectorState<Line> => bench.reconnector.state
  bench.lose('idle')
  expect(states().name).toBe('idle')
  bench.reconnector.keep()
  await settled()
  bench.lose('attempting')
  expect(states().name).toBe('attempting')
  bench.last.fail('no')
  await settled()
  const waiting = states()
  bench.lose('waiting')
  expect(states()).toBe(waiting)
})

test('close is for good: one promise, nothing left, a late success disposed of, nothing begins any more', async () => {
  const bench = new Bench()
  bench.reconnector.connect().catch(() => {})
  await settled()
  const closing = bench.reconnector.close()
  expect(bench.reconnector.close()).toBe(closing)
  let over = false
  void closing.then(() => {
    over = true
  })
  await settled()
  expect(over).toBe(false) // the attempt is on its way out
  const late = bench.last.succeed()
  await closing
  expect([late.disposed, bench.clock.pending]).toEqual([1, 0])
  await expect(bench.reconnector.connect()).rejects.toBeInstanceOf(ReconnectError)
  bench.reconnector.keep()
  bench.reconnector.retryNow()
  const inbound: Line = { name: 'inbound', disposed: 0 }
  bench.reconnector.adopt(inbound)
  await settled()
  expect([inbound.disposed, bench.attempts.length, bench.reconnector.state.name]).toEqual([1, 1, 'closed'])
})

test('what a state’s listener asks for comes after the step that it is told of', async () => {
  const pool = new AddressPool(['a'])
  const clock = new Bench().clock
  let attempts = 0
  const reconnector: Reconnector<string, Line> = new Reconnector({
    pool,
    clock,
    random: () => 0,
    attempt: async () => {
      attempts++
      throw new Error('no')
    },
    dispose: () => {},
    onState: (state) => {
      if (state.name === 'waiting') void reconnector.close()
    },
  })
  reconnector.keep()
  await settled()
  expect([attempts, reconnector.state.name, clock.pending]).toEqual([1, 'closed', 0])
})

test.each([-2, 1.5, Number.NaN])('maxAttempts %s is refused', (maxAttempts) => {
  expect(() => new Bench({ maxAttempts })).toThrow(/maxAttempts must be .* got/)
})

test('a loss is that of one connection: of one that was replaced it means nothing, of one that is about to be up it does', async () => {
  const bench = new Bench()
  const first = await bench.up()
  const second: Line = { name: 'second', disposed: 0 }
  bench.reconnector.adopt(second)
  bench.reconnector.lost(first, 'closed because it was replaced')
  expect(bench.reconnector.state).toEqual({ name: 'up', connection: second })
  void bench.reconnector.cancel()

  const connecting = outcome(bench.reconnector.connect())
  await settled()
  const line = bench.last.succeed()
  bench.reconnector.lost(line, 'at once') // before anybody knows of its success
  expect(await connecting).toBe('at once')
  bench.reconnector.adopt(line)
  expect(bench.reconnector.state.name).toBe('idle')
})

test('what callbacks throw is thrown again, and changes nothing', async () => {
  const thrown: unknown[] = []
  const original = globalThis.queueMicrotask
  globalThis.queueMicrotask = (task) => {
    original(() => {
      try {
        task()
      } catch (error) {
        thrown.push(error)
      }
    })
  }
  try {
    const fail = (what: string) => () => {
      throw what
    }
    const bench = new Bench({
      giveUp: fail('giveUp'),
      onState: fail('onState'),
      combine: fail('combine'),
      concernsAll: fail('concernsAll'),
      dispose: async () => fail('dispose')(),
    })
    bench.reconnector.keep()
    await settled()
    bench.last.fail('no')
    await settled()
    expect(bench.reconnector.state).toMatchObject({ name: 'waiting', error: 'no' })
    bench.reconnector.retryNow()
    await settled()
    bench.last.succeed()
    await settled()
    await bench.reconnector.close()
    await settled()
    expect([...new Set(thrown)].sort()).toEqual(['combine', 'concernsAll', 'dispose', 'giveUp', 'onState'])
  } finally {
    globalThis.queueMicrotask = original
  }
})

test('cancel and then connect inside a listener: the new caller is not the cancelled one', async () => {
  let again: Promise<unknown> | undefined
  const bench: Bench = new Bench({
    onState: (state) => {
      if (state.name !== 'waiting' || again !== undefined) return
      void bench.reconnector.cancel()
      again = outcome(bench.reconnector.connect())
    },
  })
  bench.reconnector.keep()
  await settled()
  bench.last.fail('no')
  await settled()
  bench.last.succeed()
  expect(await again).toBe('fulfilled')
})

test('a wait of more days than a timer can is waited all the same', async () => {
  const days = 86_400_000
  const bench = new Bench({ delay: () => 60 * days })
  bench.reconnector.keep()
  await settled()
  bench.last.fail('no')
  await settled()
  bench.clock.advance(60 * days - 1)
  expect(bench.reconnector.state.name).toBe('waiting')
  bench.clock.advance(1)
  expect(bench.reconnector.state.name).toBe('attempting')
})

test('an error that concerns all is not the address’s: its attempts are not used up', async () => {
  const bench = new Bench({
    pool: new AddressPool(['a'], { attemptsPerAddress: 1 }),
    concernsAll: (error) => error === 'wrong password',
  })
  for (let i = 0; i < 2; i++) {
    const connecting = outcome(bench.reconnector.connect())
    await settled()
    bench.last.fail('wrong password')
    expect(await connecting).toBe('wrong password')
  }
})

test('what replaces a connection that has lasted need not prove itself again', async () => {
  const bench = new Bench({ maxAttempts: 1 })
  await bench.up()
  bench.confirm()
  bench.reconnector.adopt({ name: 'renewed', disposed: 0 })
  bench.lose('cut')
  expect(bench.reconnector.state).toMatchObject({ name: 'waiting', attempt: 1, delay: 0 })
})

test('connect from inside the delay of a loss waits for what comes of it', async () => {
  let inside: Promise<unknown> | undefined
  const bench: Bench = new Bench({
    delay: () => {
      inside = bench.reconnector.connect()
      return 1000
    },
  })
  const first = await bench.up()
  bench.lose('cut')
  await settled()
  const second = bench.last.succeed()
  expect([await inside, second === first]).toEqual([second, false])
})

test('who asks during a wait, however often, neither lengthens the waits nor uses up the attempts', async () => {
  const bench = new Bench({ maxAttempts: 2, giveUp: (error, previous) => error === 'no 3' || previous === 'no 4' })
  bench.reconnector.keep()
  await settled()
  bench.last.fail('no')
  await settled()
  for (let i = 0; i < 5; i++) {
    const asking = outcome(bench.reconnector.connect())
    await settled()
    bench.last.fail(`no ${i}`)
    expect(await asking).toBe(`no ${i}`)
    expect(bench.reconnector.state).toMatchObject({ name: 'waiting', attempt: 2, delay: 100 })
  }
  bench.clock.advance(100)
  await settled()
  bench.last.fail('enough')
  await settled()
  expect(bench.reconnector.state).toEqual({ name: 'failed', error: 'enough' })
})

test('an attempt that takes too long fails with TIMEOUT; its late success is disposed of, and the next address is tried', async () => {
  const bench = new Bench({ pool: new AddressPool(['a', 'b']), attemptTimeout: 500 })
  const caller = bench.reconnector.connect()
  await settled()
  const [stuck] = bench.attempts
  bench.clock.advance(499)
  expect(stuck?.signal.aborted).toBe(false)
  bench.clock.advance(1)
  expect(stuck?.signal.reason).toMatchObject({ name: 'ReconnectError', code: 'TIMEOUT' })
  await settled()
  expect(bench.attempts).toHaveLength(1) // it has a second to end
  bench.clock.advance(1000)
  await settled()
  expect(bench.attempts.map(({ address }) => address)).toEqual(['a', 'b'])
  const late = stuck?.succeed()
  await settled()
  expect(bench.disposed).toEqual([late])
  expect(bench.pool.entries()).toMatchObject([{ address: 'a', failures: 1, lastError: { code: 'TIMEOUT' } }, {}])
  const line = bench.last.succeed()
  expect(await caller).toBe(line)
  expect(bench.clock.pending).toBe(0)
})

test('close does not wait for ever: neither for an attempt that ignores its signal, nor for a disposal without end', async () => {
  const bench = new Bench({ dispose: () => new Promise(() => {}) })
  await bench.up()
  const closing = bench.reconnector.close()
  let closed = false
  void closing.then(() => {
    closed = true
  })
  await settled()
  expect(closed).toBe(false)
  bench.clock.advance(1000)
  await closing

  const stubborn = new Bench()
  const caller = outcome(stubborn.reconnector.connect())
  await settled()
  const over = stubborn.reconnector.close('enough')
  expect(await caller).toBe('enough')
  stubborn.clock.advance(1000)
  await over
  const late = stubborn.last.succeed()
  await settled()
  expect(stubborn.disposed).toEqual([late])
  expect(stubborn.clock.pending).toBe(0)
})

test('an attempt that was adopted is not disposed of, however late it ends', async () => {
  const bench = new Bench()
  bench.reconnector.connect().catch(() => {})
  await settled()
  const attempt = bench.last
  const line = { name: 'early', disposed: 0 }
  const stuck = new Bench({ attempt: () => new Promise((resolve) => bench.clock.setTimer(() => resolve(line), 5000)) })
  stuck.reconnector.connect().catch(() => {})
  await settled()
  stuck.reconnector.adopt(line)
  stuck.clock.advance(2000)
  bench.clock.advance(5000)
  await settled()
  expect(line.disposed).toBe(0)
  attempt.fail('over')
})
