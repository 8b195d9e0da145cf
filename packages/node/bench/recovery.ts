// How long a cut lasts, from the reset of the connection to the next message at the other application; and how long a
// peer that says nothing goes unnoticed. One process, 127.0.0.1, a proxy between.
import { FaultProxy, makeNode } from '@glueberry/testkit'

const CUTS = 200
const SILENT = 40

const percentile = (values: readonly number[], part: number): number =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * part))] as number

async function cuts(): Promise<number[]> {
  await using alice = await makeNode({ streams: ['x'] })
  await using bob = await makeNode({ streams: ['x'] })
  await using proxy = await FaultProxy.to(alice.node.addrs[0] as string)
  let arrived = Promise.withResolvers<void>()
  alice.node.handle('x', () => arrived.resolve())
  const id = await bob.node.connect(proxy.address)
  const durations: number[] = []
  for (let i = 0; i < CUTS; i++) {
    await bob.node.send(id, 'x', 'before', { confirm: true })
    arrived = Promise.withResolvers()
    const start = performance.now()
    proxy.cut()
    await bob.node.send(id, 'x', 'after')
    await arrived.promise
    durations.push(performance.now() - start)
  }
  return durations
}

async function silence(heartbeat: { interval: number; timeout: number }): Promise<number[]> {
  const durations = await Promise.all(
    Array.from({ length: SILENT }, async (_, i) => {
      await new Promise((resolve) => setTimeout(resolve, (i * heartbeat.interval) / SILENT))
      await using alice = await makeNode({ streams: ['x'], heartbeat })
      await using bob = await makeNode({ streams: ['x'], heartbeat, reconnect: false })
      await using proxy = await FaultProxy.to(alice.node.addrs[0] as string)
      const id = await bob.node.connect(proxy.address)
      const lost = bob.node.subscribeEvents({ types: ['disconnected'] })
      await new Promise((resolve) => setTimeout(resolve, 2 * heartbeat.interval * Math.random()))
      const start = performance.now()
      proxy.swallow()
      const { value } = await lost.next()
      if (value?.reason.kind !== 'timeout') throw new Error(`${id} was lost otherwise: ${value?.reason.kind}`)
      return performance.now() - start
    }),
  )
  return durations
}

const show = (what: string, values: readonly number[], unit = 1, name = 'ms'): void => {
  const [p50, p99, max] = [0.5, 0.99, 1].map((part) => (percentile(values, part) / unit).toFixed(unit === 1 ? 0 : 1))
  console.log(`${what}: p50 ${p50}, p99 ${p99}, longest ${max} ${name} (${values.length})`)
}

show('from a cut to the next message', await cuts())
show('a silent peer goes unnoticed, 3 s / 9 s', await silence({ interval: 3000, timeout: 9000 }), 1000, 's')
show('the same, 2 s / 6 s', await silence({ interval: 2000, timeout: 6000 }), 1000, 's')
