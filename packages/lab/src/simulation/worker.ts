import { parentPort } from 'node:worker_threads'
import { simulate } from './simulation.ts'

// Runs one history after the other, as they are asked for. What nobody catches fails the history that it came in.
let unhandled: string | undefined
process.on('unhandledRejection', (error) => {
  unhandled ??= `nobody caught ${error instanceof Error ? error.stack : String(error)}`
})

parentPort?.on('message', async (seed: number) => {
  const begun = performance.now()
  unhandled = undefined
  const outcome = await simulate(seed)
  await new Promise((resolve) => setImmediate(resolve)) // what nobody caught is told a turn later
  const failure = outcome.failure ?? unhandled
  parentPort?.postMessage({
    ...outcome,
    ...(failure === undefined ? {} : { failure }),
    took: performance.now() - begun,
  })
})
