import { parentPort } from 'node:worker_threads'
import { WireError } from '@glueberry/wire'
import fc from 'fast-check'
import { decoders, hostileBytes } from '../../../wire/test/support/decoders.ts'

/** What one round of hostile inputs to every decoder came to. */
export interface Round {
  readonly inputs: number
  readonly failures: readonly string[]
}

/** Only what was sent may be accepted by these: everything else is forged. */
const AUTHENTICATED: ReadonlySet<string> = new Set(['sealed record', 'message 1', 'message 2'])

parentPort?.on('message', ({ seed, size }: { readonly seed: number; readonly size: number }) => {
  let inputs = 0
  const failures: string[] = []
  for (const { name, share, samples, decode } of decoders) {
    const forgeable = !AUTHENTICATED.has(name)
    const result = fc.check(
      fc.property(hostileBytes(samples), (bytes) => {
        inputs++
        try {
          decode(bytes)
        } catch (error) {
          if (!(error instanceof WireError)) throw error
          return
        }
        if (!forgeable && !samples.some((sample) => Buffer.compare(sample, bytes) === 0)) throw new Error('accepted')
      }),
      { numRuns: Math.ceil((share * size) / 100), seed, endOnFailure: false },
    )
    if (result.failed) failures.push(`${name}, seed ${seed}: ${fc.defaultReportMessage(result)}`)
  }
  parentPort?.postMessage({ inputs, failures } satisfies Round)
})
