import { Identity, Node } from '@glueberry/node'
import { chance, FaultProxy } from '@glueberry/testkit'
import { Listener } from '../listener.ts'
import type { Row, RowOptions, RowResult } from '../row.ts'
import { percentile } from '../statistics.ts'

/** Heartbeats, and by when a silent peer must be noticed at p99, in milliseconds. */
const HEARTBEATS = [
  { interval: 3000, timeout: 9000, within: 10_000 },
  { interval: 2000, timeout: 6000, within: 7000 },
]
/** An event loop stands still so long at most. */
const BLOCK_MAX = 5000

/** A peer that says nothing any more: a line that swallows everything, and a program that is stopped (SIGSTOP). */
export const silent: Row = {
  title: 'a peer that falls silent: black hole, SIGSTOP; and event loops that stand still for up to 5 s',
  wanted: 'noticed, p99 ≤ 10 s (3 s / 9 s) and ≤ 7 s (2 s / 6 s); no false alarm',
  async run(options): Promise<RowResult> {
    const failures: string[] = []
    const figures: string[] = []
    for (const heartbeat of options.short ? HEARTBEATS.slice(1) : HEARTBEATS) {
      const durations = await noticed(heartbeat, options)
      const p99 = percentile(durations, 0.99)
      figures.push(
        `${durations.length} silent at ${heartbeat.interval / 1000} s / ${heartbeat.timeout / 1000} s: p50 ${(percentile(durations, 0.5) / 1000).toFixed(1)} s, p99 ${(p99 / 1000).toFixed(1)} s`,
      )
      if (p99 > heartbeat.within)
        failures.push(`p99 of ${heartbeat.interval} / ${heartbeat.timeout} ms is ${p99.toFixed(0)} ms`)
    }
    const alarms = await falseAlarms(options)
    figures.push(
      `${alarms.blocks} event loops blocked in ${(alarms.duration / 60_000).toFixed(1)} min, ${alarms.lost} false alarms`,
    )
    if (alarms.lost > 0) failures.push(`${alarms.lost} false alarms`)
    return {
      passed: failures.length === 0,
      figure: figures.join('; '),
      failures: failures.map((failure) => `seed ${options.seed}: ${failure}`),
    }
  },
}

/** How long each of many silences goes unnoticed; half of them swallowed by the line, half by a stopped program. */
async function noticed(
  heartbeat: { readonly interval: number; readonly timeout: number },
  { short, seed, progress }: RowOptions,
): Promise<number[]> {
  const { interval, timeout } = heartbeat
  const random = chance(seed)
  const count = short ? 4 : 60
  let seen = 0
  const stopped = await Listener.start()
  await using behind = await Listener.start()
  try {
    return await Promise.all(
      Array.from({ length: count }, async (_, i) => {
        const [bySignal, pause] = [i % 2 === 0, random() * 2 * heartbeat.interval]
        await using proxy = bySignal ? undefined : await FaultProxy.to(behind.address)
        const node = new Node({
          identity: Identity.generate(),
          streams: ['x'],
          heartbeat: { interval, timeout },
          reconnect: false,
        })
        await node.start()
        try {
          await node.connect((proxy ?? stopped).address)
          const lost = node.subscribeEvents({ types: ['disconnected'] })
          // All of one program fall silent at once; what differs is where each is in its own interval.
          await new Promise((resolve) => setTimeout(resolve, 4000 + (bySignal ? 2 * heartbeat.interval : pause)))
          const begun = performance.now()
          if (proxy === undefined) stopped.signal('SIGSTOP')
          else proxy.swallow()
          await lost.next()
          progress(`${++seen} of ${count} silences noticed`)
          return performance.now() - begun
        } finally {
          await node.stop()
        }
      }),
    )
  } finally {
    await stopped[Symbol.asyncDispose]()
  }
}

/** Two programs whose event loops stand still again and again, with the default heartbeat. */
async function falseAlarms({
  short,
  seed,
  budget,
  progress,
}: RowOptions): Promise<{ blocks: number; lost: number; duration: number }> {
  const random = chance(seed + 1)
  await using listener = await Listener.start()
  const node = new Node({ identity: Identity.generate(), streams: ['x'] })
  await node.start()
  let lost = 0
  node.on('disconnected', () => lost++)
  try {
    await node.connect(listener.address)
    const begun = performance.now()
    const most = short ? 8000 : Math.min(budget ?? Number.POSITIVE_INFINITY, 600_000)
    let blocks = 0
    while (performance.now() - begun < most) {
      await listener.block(Math.floor(random() * BLOCK_MAX))
      blocks++
      await new Promise((resolve) => setTimeout(resolve, random() * 300))
      if (random() < 0.5) {
        // This side stands still, too.
        const end = performance.now() + random() * BLOCK_MAX
        while (performance.now() < end);
        blocks++
      }
      progress(`${blocks} blocked event loops, ${lost} false alarms`)
    }
    return { blocks, lost, duration: performance.now() - begun }
  } finally {
    await node.stop()
  }
}
