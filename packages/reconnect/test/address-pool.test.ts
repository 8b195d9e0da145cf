import fc from 'fast-check'
import { expect, test } from 'vitest'
import { AddressPool } from '../src/index.ts'

test('everyone has a turn, in the order in which they came; who worked is first the next time', () => {
  const pool = new AddressPool(['a', 'b', 'c'])
  expect([1, 2, 3, 4].map(() => pool.next())).toEqual(['a', 'b', 'c', 'a'])
  pool.succeeded('a')
  expect([pool.next(), pool.next()]).toEqual(['a', 'b'])
})

test('failures and the last error are told, and forgotten after a success', () => {
  const pool = new AddressPool(['a'])
  pool.failed('a', 'first')
  pool.failed('a', 'second')
  expect(pool.entries()).toEqual([{ address: 'a', failures: 2, lastError: 'second' }])
  pool.succeeded('a')
  expect(pool.entries()).toEqual([{ address: 'a', failures: 0 }])
  pool.failed('nobody', 'unknown addresses are nobody’s business')
  expect(pool.entries()).toHaveLength(1)
})

test('an address that has failed too often rests until it is added again or works after all', () => {
  const pool = new AddressPool(['a', 'b'], { attemptsPerAddress: 2 })
  pool.failed('a', 1)
  pool.failed('a', 2)
  expect([pool.size, pool.next(), pool.next()]).toEqual([1, 'b', 'b'])
  expect(pool.entries()[0]).toEqual({ address: 'a', failures: 2, lastError: 2 })
  expect(pool.add('a')).toBe(true)
  expect(pool.add('a')).toBe(false)
  expect([pool.next(), pool.next()].sort()).toEqual(['a', 'b'])
  pool.failed('b', 1)
  pool.failed('b', 2)
  pool.succeeded('b')
  expect([pool.size, pool.next()]).toEqual([2, 'b'])
  for (const bad of [0, 1.5, Number.NaN]) {
    expect(() => new AddressPool([], { attemptsPerAddress: bad })).toThrow(/attemptsPerAddress must be .* got/)
  }
})

test('whatever comes and goes, the rotation is that of a plain list', () => {
  const step = fc.record({ do: fc.constantFrom('add', 'remove', 'next', 'failed', 'succeeded'), address: fc.nat(6) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), fc.integer({ min: 1, max: 3 }), (steps, limit) => {
      const pool = new AddressPool<number>([], { attemptsPerAddress: limit })
      // The model shifts: whose turn it is stands first.
      let list: number[] = []
      const failures = new Map<number, number>()
      for (const { do: action, address } of steps) {
        if (action === 'add') {
          expect(pool.add(address)).toBe(!list.includes(address))
          if (!list.includes(address)) {
            list.push(address)
            failures.set(address, 0)
          }
        } else if (action === 'remove') {
          expect(pool.remove(address)).toBe(failures.delete(address))
          list = list.filter((each) => each !== address)
        } else if (action === 'next') {
          expect(pool.next()).toBe(list[0])
          if (list.length > 0) list.push(list.shift() as number)
        } else if (action === 'failed') {
          pool.failed(address, 'no')
          if (!failures.has(address)) continue
          failures.set(address, (failures.get(address) as number) + 1)
          if ((failures.get(address) as number) >= limit) list = list.filter((each) => each !== address)
        } else {
          pool.succeeded(address)
          if (!failures.has(address)) continue
          failures.set(address, 0)
          if (!list.includes(address)) list.push(address)
          while (list[0] !== address) list.push(list.shift() as number)
        }
        expect(pool.size).toBe(list.length)
        expect(new Map(pool.entries().map((entry) => [entry.address, entry.failures]))).toEqual(failures)
      }
    }),
    { numRuns: 2000 },
  )
})
