import { parentPort } from 'node:worker_threads'
import { decoders } from '../../../wire/test/support/decoders.ts'
import { throwHostile } from '../../../wire/test/support/throw-hostile.ts'

/** Inputs to throw, and where chance begins. */
export interface RoundOptions {
  readonly size: number
  readonly seed: number
}

/** What one round of hostile inputs to every decoder came to. */
export interface Round {
  readonly inputs: number
  readonly failures: readonly string[]
}

parentPort?.on('message', ({ seed, size }: RoundOptions) => {
  const thrown = decoders.map((decoder) => throwHostile(decoder, Math.ceil((decoder.share * size) / 100), seed))
  parentPort?.postMessage({
    inputs: thrown.reduce((sum, { inputs }) => sum + inputs, 0),
    failures: thrown.flatMap(({ failure }) => failure ?? []),
  } satisfies Round)
})
