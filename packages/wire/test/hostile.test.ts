import fc from 'fast-check'
import { expect, test } from 'vitest'
import { WireError } from '../src/index.ts'
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

test('every sample is accepted as it is, so that the mutations begin close to it', () => {
  for (const { name, samples, decode } of decoders) {
    expect(() => decode(Uint8Array.from(samples[0] as Uint8Array)), name).not.toThrow()
  }
})
