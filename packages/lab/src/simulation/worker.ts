import { parentPort } from 'node:worker_threads'
import type { Profile } from './program.ts'
import { simulate } from './simulation.ts'

/** Which history to run. */
export interface HistoryRequest {
  readonly seed: number
  readonly profile: Profile
}

// Runs one history after the other, as they are asked for. What nobody catches fails the history that it came in.
let unhandled: string | undefined
process.on('unhandledRejection', (error) => {
  unhandled ??= `nobody caught ${error instanceof Error ? error.stack : String(error)}`
})

parentPort?.on('message', async ({ seed, profile }: HistoryRequest) => {
  const begun = performance.now()
  unhandled = undefined
  const outcome = await simulate(seed, profile)
  await new Promise((resolve) => setImmediate(resolve)) // what nobody caught is told a turn later
  const failure = outcome.failure ?? unhandled
  parentPort?.postMessage({
    ...outcome,
    ...(failure === undefined ? {} : { failure }),
    took: performance.now() - begun,
  })
})
