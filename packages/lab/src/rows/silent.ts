import { Identity, Node } from '@glueberry/node'
import { chance, FaultProxy, percentile } from '@glueberry/testkit'
import { Listener } from '../listener.ts'
import type { Row, RowOptions, RowResult } from '../row.ts'

/** Heartbeats, and by when a silent peer must be noticed at p99, in milliseconds. */
const HEARTBEATS = [
  { interval: 3000, timeout: 9000, within: 10_000 },
  { interval: 2000, timeout: 6000, within: 7000 },
]
/** In the short form it is not judged how long it takes. */
const SHORT_HEARTBEAT = { interval: 500, timeout: 1500, within: 7000 }
/** An event loop stands still so long at most. */
const BLOCK_MAX = 5000

/** A peer that says nothing any more: a line that swallows everything, and a program that is stopped (SIGSTOP). */
export const silent: Row = {
  title:
    'a peer that falls silent: black hole, half-open socket, SIGSTOP; and event loops that stand still for up to 5 s',
  wanted: 'noticed, p99 ≤ 10 s (3 s / 9 s) and ≤ 7 s (2 s / 6 s); no false alarm',
  async run(options): Promise<RowResult> {
    const failures: string[] = []
    const figures: string[] = []
    for (const heartbeat of options.short ? [SHORT_HEARTBEAT] : HEARTBEATS) {
      const durations = await noticed(heartbeat, options)
      const p99 = percentile(durations, 0.99)
      figures.push(
        `${durations.length} silent at ${heartbeat.interval / 1000} s / ${heartbeat.timeout / 1000} s: p50 ${(percentile(durations, 0.5) / 1000).toFixed(1)} s, p99 ${(p99 / 1000).toFixed(1)} s`,
      )
      if (!options.short && p99 > heartbeat.within)
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

/** How long each of many silences goes unnoticed, in milliseconds: lines that swallow everything, lines whose other end is gone, a stopped program. */
async function noticed(
  { interval, timeout }: { readonly interval: number; readonly timeout: number },
  { short, seed, progress }: RowOptions,
): Promise<number[]> {
  const random = chance(seed)
  const count = short ? 2 : 20 // of each kind
  await using stopped = await Listener.start()
  await using behind = await Listener.start()
  let seen = 0
  const watch = async (address: string): Promise<{ node: Node; noticed: () => Promise<number> }> => {
    const node = new Node({
      identity: Identity.generate(),
      streams: ['x'],
      heartbeat: { interval, timeout },
      reconnect: false,
    })
    await node.start()
    await node.connect(address)
    const lost = node.subscribeEvents({ types: ['disconnected'] })
    const noticed = async (): Promise<number> => {
      const { value } = await lost.next()
      if (value?.reason.kind !== 'timeout') throw new Error(`it was not silence that ended it: ${value?.reason.kind}`)
      progress(`${++seen} of ${3 * count} silences noticed`)
      return performance.now()
    }
    return { node, noticed }
  }
  const proxies = await Promise.all(Array.from({ length: 2 * count }, () => FaultProxy.to(behind.address)))
  // One after the other, so that each is elsewhere in its interval.
  const watchers: Awaited<ReturnType<typeof watch>>[] = []
  for (let i = 0; i < 3 * count; i++) {
    watchers.push(await watch(proxies[i]?.address ?? stopped.address))
    await new Promise((resolve) => setTimeout(resolve, random() * 100))
  }
  try {
    await new Promise((resolve) => setTimeout(resolve, interval))
    const swallowed = proxies.map(async (proxy, i) => {
      await new Promise((resolve) => setTimeout(resolve, random() * 2 * interval))
      const begun = performance.now()
      if (i < count) proxy.swallow()
      else proxy.halfOpen()
      return (await (watchers[i] as (typeof watchers)[number]).noticed()) - begun
    })
    const begun = performance.now()
    stopped.signal('SIGSTOP')
    const frozen = watchers.slice(2 * count).map(async (watcher) => (await watcher.noticed()) - begun)
    return await Promise.all([...swallowed, ...frozen])
  } finally {
    await Promise.all(watchers.map(({ node }) => node.stop()))
    await Promise.all(proxies.map((proxy) => proxy[Symbol.asyncDispose]()))
  }
}

/**
 * Event loops that stand still again and again. The one with the default heartbeat waits for a program that stands still
 * for less than its time-out; the impatient one has a time-out that its own standing still passes nearly every time.
 */
async function falseAlarms({
  short,
  seed,
  budget,
  progress,
}: RowOptions): Promise<{ blocks: number; lost: number; duration: number }> {
  const random = chance(seed + 1)
  await using blocked = await Listener.start()
  await using well = await Listener.start()
  let lost = 0
  const watch = async (address: string, options: object): Promise<Node> => {
    const node = new Node({ identity: Identity.generate(), streams: ['x'], ...options })
    await node.start()
    await node.connect(address)
    node.on('disconnected', () => lost++)
    return node
  }
  const nodes = [
    await watch(blocked.address, {}),
    await watch(well.address, { heartbeat: { interval: 1000, timeout: 3000 } }),
  ]
  try {
    const begun = performance.now()
    const most = short ? 4000 : Math.min(600_000, budget)
    let blocks = 0
    while (performance.now() - begun < most) {
      if (random() < 0.5) {
        await blocked.block(Math.floor(random() * BLOCK_MAX))
      } else {
        const end = performance.now() + BLOCK_MAX * (0.6 + 0.4 * random())
        while (performance.now() < end);
      }
      blocks++
      await new Promise((resolve) => setTimeout(resolve, random() * 300))
      progress(`${blocks} blocked event loops, ${lost} false alarms`)
    }
    const duration = performance.now() - begun
    await new Promise((resolve) => setTimeout(resolve, 3000)) // what is about to be noticed is
    return { blocks, lost, duration }
  } finally {
    await Promise.all(nodes.map((node) => node.stop()))
  }
}
