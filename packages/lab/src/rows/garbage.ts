import { connect } from 'node:net'
import { chance, percentile } from '@glueberry/testkit'
import { MULTISTREAM, NOISE } from '../beginnings.ts'
import { Listener } from '../listener.ts'
import type { Row, RowResult } from '../row.ts'

const AT_ONCE = 20
/** Garbage of one connection, in bytes. */
const LONGEST = 70_000
const HEAP_MORE = 2 * 1024 * 1024
const DIAL_P99 = 200
/** A little more than libp2p's upgrade may take, in milliseconds. */
const GIVEN_UP = 25_000

/** Connections that send random bytes, some of them behind a proper beginning, while honest nodes connect. */
export const garbage: Row = {
  title: '20,000 connections with random bytes',
  wanted: 'heap ≤ +2 MB, honest dials p99 ≤ 200 ms',
  async run({ seed, short, budget, progress }): Promise<RowResult> {
    const wanted = short ? 400 : 20_000
    const random = chance(seed)
    await using listener = await Listener.start()
    const noise = Uint8Array.from({ length: 2 * LONGEST }, () => Math.floor(random() * 256))
    // Everything is loaded, and compiled as far as it ever is.
    const warm = short ? 50 : 2000
    await Promise.all(
      Array.from({ length: AT_ONCE }, async (_, i) => {
        for (let n = 0; n < warm / AT_ONCE; n++) await throwGarbage(listener.port, random, noise, `127.0.0.${2 + i}`)
      }),
    )
    for (let i = 0; i < warm / 50; i++) await listener.honestDial(10_000)
    const { heap: before } = await listener.memory()
    const begun = performance.now()
    const dials: (number | undefined)[] = []
    let thrown = 0
    let over = false
    const dialing = (async () => {
      while (!over) dials.push(await listener.honestDial(5000))
    })()
    await Promise.all(
      Array.from({ length: AT_ONCE }, async (_, i) => {
        while (thrown < wanted && (budget === undefined || performance.now() - begun < budget)) {
          thrown++
          await throwGarbage(listener.port, random, noise, `127.0.0.${2 + i}`)
          progress(`${thrown} of ${wanted} connections`)
        }
      }),
    )
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

/** One connection: nothing, a beginning, or random bytes; then its end, or its reset. */
function throwGarbage(port: number, random: () => number, noise: Uint8Array, from: string): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', localAddress: from })
    socket.on('error', () => {})
    socket.on('close', () => resolve())
    socket.resume()
    socket.on('connect', () => {
      if (random() < 0.4) socket.write(MULTISTREAM)
      if (random() < 0.4) socket.write(NOISE)
      const length = Math.floor(random() * (random() < 0.1 ? LONGEST : 300))
      const at = Math.floor(random() * (noise.length - length))
      socket.write(noise.subarray(at, at + length))
      if (random() < 0.5) socket.end()
      else setTimeout(() => socket.resetAndDestroy(), random() * 20)
    })
  })
}
