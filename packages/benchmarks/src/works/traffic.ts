import type { Case, Figures } from '../results.ts'
import { sum } from '../statistics.ts'
import { couple } from './couple.ts'
import type { Timing } from './timing.ts'

/** CPU seconds per million messages. */
const cost = ({ user, system }: NodeJS.CpuUsage, messages: number): number => (user + system) / messages

/** Messages one way, and where `both` both ways at once: how many a second the receiving applications get. */
export async function traffic(measured: Case, timing: Timing, both: boolean): Promise<Figures> {
  const { size, names, peers } = measured
  await using programs = await couple(measured, { names, endpoints: peers, both, profile: timing.profile })
  const { receiver, sender } = programs

  const run = async (duration: number): Promise<Figures> => {
    await receiver.tell('mark')
    await sender.tell('mark')
    const flood = { duration, names }
    const [there, here] = await Promise.all([sender.tell('flood', flood), both ? receiver.tell('flood', flood) : []])
    const [arrived, returned] = await Promise.all([
      receiver.tell('arrived', sum(there)),
      both ? sender.tell('arrived', sum(here)) : undefined,
    ])
    const spent = await sender.tell('spent') // what was still queued has been sent
    const rate = (1000 * arrived.received) / arrived.duration
    const backRate = returned === undefined ? 0 : (1000 * returned.received) / returned.duration
    const share = sum(there) / there.length
    return {
      perSecond: rate + backRate,
      megabytes: ((rate + backRate) * size) / 1e6,
      // Where both send, these would say nothing.
      ...(both ? {} : { sendCpu: cost(spent, arrived.received), receiveCpu: cost(arrived.cpu, arrived.received) }),
      // The slowest and the fastest of those who send, beside their fair share.
      slowest: Math.min(...there) / share,
      fastest: Math.max(...there) / share,
    }
  }
  await run(timing.warmUp)
  const figures = await run(timing.measured)
  await Promise.all([sender.tell('close'), receiver.tell('close')])
  return figures
}
