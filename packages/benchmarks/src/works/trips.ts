import { PlayerProcess } from '../player-process.ts'
import type { Case, Figures } from '../results.ts'
import type { Timing } from './timing.ts'

/** Messages that come back: how long each is away. */
export async function trips({ contender, size, outstanding }: Case, timing: Timing): Promise<Figures> {
  await using receiver = new PlayerProcess()
  await using sender = new PlayerProcess()
  const options = { contender, size, names: 1, duplex: true, endpoints: 1 }
  const { address } = await receiver.tell('open', { ...options, listens: true, echoFrom: 0 })
  await sender.tell('open', { ...options, listens: false, echoFrom: 1 })
  await sender.tell('connect', address)
  const count = Math.max(timing.trips, 50 * outstanding)
  await sender.tell('trips', { count: Math.ceil(count / 3), outstanding, name: 0 })
  const { p50, p99, perSecond } = await sender.tell('trips', { count, outstanding, name: 0 })
  await Promise.all([sender.tell('close'), receiver.tell('close')])
  return { p50: 1000 * p50, p99: 1000 * p99, perSecond }
}
