import type { Case, Figures } from '../results.ts'
import { couple } from './couple.ts'
import type { Timing } from './timing.ts'

/** Messages that come back: how long each is away. */
export async function trips(measured: Case, timing: Timing): Promise<Figures> {
  const { outstanding } = measured
  await using programs = await couple(measured, { duplex: true, echoes: true })
  const { receiver, sender } = programs
  const count = Math.max(timing.trips, timing.tripsOfEach * outstanding)
  await sender.tell('trips', { count: Math.ceil(count / 3), outstanding, name: 0 })
  const { p50, p99, perSecond } = await sender.tell('trips', { count, outstanding, name: 0 })
  await Promise.all([sender.tell('close'), receiver.tell('close')])
  return { p50: 1000 * p50, p99: 1000 * p99, perSecond }
}
