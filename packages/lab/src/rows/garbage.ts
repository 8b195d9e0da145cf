import { fileURLToPath } from 'node:url'
import { percentile, spawnNode } from '@glueberry/testkit'
import type { ThrowerOptions } from '../children/thrower.ts'
import { Listener } from '../listener.ts'
import type { Row, RowResult } from '../row.ts'

const program = fileURLToPath(new URL('../children/thrower.ts', import.meta.url))
const HEAP_MORE = 2 * 1024 * 1024
const DIAL_P99 = 200
/** A little more than libp2p's upgrade may take, in milliseconds. */
const GIVEN_UP = 25_000

/** Connections that send random bytes, some of them behind a proper beginning, while honest nodes connect. */
export const garbage: Row = {
  title: '20,000 connections with random bytes, 32 at a time without a pause',
  wanted: 'heap ≤ +2 MB, honest dials p99 ≤ 200 ms',
  async run({ seed, short, budget, progress }): Promise<RowResult> {
    const wanted = short ? 400 : 20_000
    await using listener = await Listener.start()
    const { port } = listener.target
    /** Resolves with how many were thrown. */
    const throwAll = async (options: Omit<ThrowerOptions, 'port'>): Promise<number> => {
      await using thrower = spawnNode([program, JSON.stringify({ ...options, port })])
      const thrown = (): number => Number(thrower.lines.at(-1)?.slice('thrown '.length) ?? 0)
      const ticker = setInterval(() => progress(`${thrown()} of ${options.count} connections`), 500)
      const deadline = setTimeout(() => thrower.process.stdin.end(), budget)
      await thrower.ended
      clearInterval(ticker)
      clearTimeout(deadline)
      return thrown()
    }
    // Everything is loaded, and compiled as far as it ever is.
    const warm = short ? 50 : 2000
    await throwAll({ seed: seed + 1, count: warm })
    for (let i = 0; i < warm / 50; i++) await listener.honestDial(60_000)
    const { heap: before } = await listener.memory()

    const dials: (number | undefined)[] = []
    let over = false
    const dialing = (async () => {
      while (!over) dials.push(await listener.honestDial(60_000))
    })()
    const thrown = await throwAll({ seed, count: wanted })
    over = true
    await dialing
    // What has half begun is given up by then.
    if (!short) await new Promise((resolve) => setTimeout(resolve, GIVEN_UP))
    const more = (await listener.memory()).heap - before
    const failed = dials.filter((duration) => duration === undefined).length
    const p99 = percentile(
      dials.filter((duration) => duration !== undefined),
      0.99,
    )
    const failures: string[] = []
    if (thrown < wanted) failures.push(`the time was up after ${thrown} connections`)
    if (!short && more > HEAP_MORE) failures.push(`the heap has grown by ${(more / 1e6).toFixed(1)} MB`)
    if (failed > 0) failures.push(`${failed} of ${dials.length} honest dials failed`)
    if (!short && p99 > DIAL_P99) failures.push(`honest dials took ${p99.toFixed(0)} ms at p99`)
    for (const error of listener.errors.slice(0, 3)) failures.push(error)
    return {
      passed: failures.length === 0,
      figure: `${thrown.toLocaleString('en')} connections, heap ${more >= 0 ? '+' : ''}${(more / 1e6).toFixed(2)} MB, ${dials.length} honest dials p99 ${p99.toFixed(0)} ms, ${failed} failed`,
      failures: failures.map((failure) => `seed ${seed}: ${failure}`),
    }
  },
}
