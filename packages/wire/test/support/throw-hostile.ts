import fc from 'fast-check'
import { WireError } from '../../src/index.ts'
import { type Decoder, hostileBytes } from './decoders.ts'

/** Only what was sent may be accepted by these: everything else is forged. */
const AUTHENTICATED: ReadonlySet<string> = new Set(['sealed record', 'message 1', 'message 2'])

/** What a decoder made of hostile inputs. */
export interface Thrown {
  readonly inputs: number
  /** What is wrong with it, and what repeats that. */
  readonly failure?: string
}

/** Throws so many hostile inputs at a decoder, which may return or throw a WireError, and must not accept what is forged. */
export function throwHostile({ name, samples, decode }: Decoder, numRuns: number, seed: number): Thrown {
  let inputs = 0
  const result = fc.check(
    fc.property(hostileBytes(samples), (bytes) => {
      inputs++
      try {
        decode(bytes)
      } catch (error) {
        if (!(error instanceof WireError)) throw error
        return
      }
      const forged = !samples.some((sample) => Buffer.compare(sample, bytes) === 0)
      if (AUTHENTICATED.has(name) && forged) throw new Error('accepted')
    }),
    { numRuns, seed, endOnFailure: false },
  )
  return result.failed ? { inputs, failure: `${name}: seed ${seed}\n${fc.defaultReportMessage(result)}` } : { inputs }
}
