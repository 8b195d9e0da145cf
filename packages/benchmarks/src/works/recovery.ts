import { FaultProxy } from '@glueberry/testkit'
import { PlayerProcess } from '../program-process.ts'
import type { Case, Figures } from '../results.ts'
import { median } from '../statistics.ts'
import type { Timing } from './timing.ts'

/** How long it takes until the other application has a message, in milliseconds: from making an end, and from connecting it. */
export async function firstMessage({ contender, size }: Case, timing: Timing): Promise<Figures> {
  await using receiver = new PlayerProcess()
  await using sender = new PlayerProcess()
  const options = { contender, size, names: 1, duplex: false, echoFrom: 1 }
  const { address } = await receiver.tell('open', { ...options, listens: true, endpoints: 1 })
  const durations: { start: number; connect: number }[] = []
  for (let i = 0; i < timing.recoveries; i++) {
    await receiver.tell('mark')
    const { started, connecting } = await sender.tell('first', { ...options, listens: false, address })
    const { firstAt } = await receiver.tell('arrived', 1)
    durations.push({ start: firstAt - started, connect: firstAt - connecting })
  }
  return {
    start: median(durations.map(({ start }) => start)),
    connect: median(durations.map(({ connect }) => connect)),
  }
}

/** From the cut of an established connection to the next message at the other application, in milliseconds. */
export async function afterCut({ contender, size }: Case, timing: Timing): Promise<Figures> {
  await using receiver = new PlayerProcess()
  await using sender = new PlayerProcess()
  const options = { contender, size, names: 1, duplex: false, echoFrom: 1, endpoints: 1 }
  const { address } = await receiver.tell('open', { ...options, listens: true })
  await using proxy = await FaultProxy.to(address)
  await sender.tell('open', { ...options, listens: false })
  await sender.tell('connect', proxy.address)
  const durations: number[] = []
  for (let i = 0; i < timing.recoveries; i++) {
    await receiver.tell('mark')
    await sender.tell('stuff', { count: 1, name: 0 })
    await receiver.tell('arrived', 1)
    await receiver.tell('mark')
    const cutAt = performance.timeOrigin + performance.now()
    proxy.cut()
    await sender.tell('stuff', { count: 1, name: 0 })
    const { firstAt } = await receiver.tell('arrived', 1)
    durations.push(firstAt - cutAt)
  }
  return { cut: median(durations) }
}
