import fc from 'fast-check'
import { expect, test } from 'vitest'
import { backoff } from '../src/index.ts'

const waits = (options: Parameters<typeof backoff>[0], random = 0.5, count = 6) => {
  const delay = backoff(options, () => random)
  return Array.from({ length: count }, (_, i) => delay(i + 1))
}

test('at once, then base × factor up to the maximum', () => {
  expect(waits({ jitter: 'none', baseDelay: 100, maxDelay: 1000 })).toEqual([0, 100, 200, 400, 800, 1000])
  expect(waits({ jitter: 'none', firstDelay: 5, baseDelay: 10, factor: 1 })).toEqual([5, 10, 10, 10, 10, 10])
  expect(waits({ jitter: 'none', baseDelay: 0 })).toEqual([0, 0, 0, 0, 0, 0])
  expect(backoff({ jitter: 'none' }, () => 0)(5000)).toBe(300_000) // no overflow, however long it takes
  expect(waits({}, 1)).toEqual([0, 1000, 2000, 4000, 8000, 16_000])
})

test('full jitter takes any part of the wait, a bound takes ± so much of it, and nothing passes the maximum', () => {
  expect(waits({ baseDelay: 100, jitter: 'full' }, 0.25, 3)).toEqual([0, 25, 50])
  expect(waits({ baseDelay: 100, jitter: 0.2 }, 0, 3)).toEqual([0, 80, 160])
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 60 }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      fc.oneof(fc.constantFrom('full' as const, 'none' as const), fc.double({ min: 0, max: 1, noNaN: true })),
      (attempt, random, jitter) => {
        const delay = backoff({ baseDelay: 10, maxDelay: 5000, jitter }, () => random)(attempt)
        expect(delay).toBeGreaterThanOrEqual(0)
        expect(delay).toBeLessThanOrEqual(5000)
      },
    ),
  )
})

test.each([
  ['firstDelay', -1],
  ['baseDelay', Number.NaN],
  ['factor', 0.5],
  ['maxDelay', Number.POSITIVE_INFINITY],
  ['jitter', 2],
  ['jitter', 'some'],
])('%s %s is refused by name', (name, value) => {
  expect(() => backoff({ [name]: value }, Math.random)).toThrow(new RegExp(`^${name} must be .* got ${value}`))
})
