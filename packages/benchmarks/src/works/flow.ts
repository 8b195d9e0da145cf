import { PlayerProcess } from '../program-process.ts'
import type { Case, Figures } from '../results.ts'
import { sum } from '../statistics.ts'
import { couple } from './couple.ts'
import type { Timing } from './timing.ts'

/**
 * An application that waits a millisecond after each message, while another sends to it as fast as it can: some thousand
 * messages long, and then at full speed until a million have come. MiB above what both had before.
 */
export async function slowConsumer(measured: Case, timing: Timing): Promise<Figures> {
  await using programs = await couple(measured)
  const { receiver, sender } = programs
  await receiver.tell('mark')
  await receiver.tell('arrived', sum(await sender.tell('flood', { duration: timing.warmUp, names: 1 })))
  const before = [await sender.tell('memory'), await receiver.tell('memory')] as const
  await receiver.tell('pace', 1)
  await receiver.tell('mark')
  await Promise.all([sender.tell('peak'), receiver.tell('peak')])
  const slow = sender.tell('flood', { duration: timing.slowMessages / 100, names: 1 })
  const begun = performance.now()
  await receiver.tell('arrived', timing.slowMessages / 200) // a few thousand, one after the other
  const perSecond = (timing.slowMessages / 200 / (performance.now() - begun)) * 1000
  const peaks = [await sender.tell('peak'), await receiver.tell('peak')] as const
  await receiver.tell('pace', 0)
  let sent = sum(await slow)
  while (sent < timing.slowMessages) sent += sum(await sender.tell('flood', { duration: 200, names: 1 }))
  await receiver.tell('arrived', sent)
  return {
    perSecond,
    sender: (peaks[0].heap - before[0].heap) / 2 ** 20,
    receiver: (peaks[1].heap - before[1].heap) / 2 ** 20,
  }
}

/** 63 names that are read, alone and beside one that nobody reads: what part of their rate they keep. */
export async function unreadName(measured: Case, timing: Timing): Promise<Figures> {
  const rate = async (stuffed: boolean): Promise<number> => {
    await using programs = await couple(measured, { names: 64, unread: 63 })
    const { receiver, sender } = programs
    if (stuffed) await sender.tell('stuff', { count: 4000, name: 63 })
    let perSecond = 0
    for (const duration of [timing.warmUp, timing.measured]) {
      await receiver.tell('mark')
      const arrived = await receiver.tell('arrived', sum(await sender.tell('flood', { duration, names: 63 })))
      perSecond = (1000 * arrived.received) / arrived.duration
    }
    return perSecond
  }
  const alone = await rate(false)
  const beside = await rate(true)
  return { perSecond: beside, kept: beside / alone }
}

/** Round trips with a node, in µs, while it has nothing else to do and while another peer floods it; and how late its loop is. */
export async function flooded(measured: Case, timing: Timing): Promise<Figures> {
  const { contender, size } = measured
  await using hub = new PlayerProcess()
  await using flooder = new PlayerProcess()
  await using asker = new PlayerProcess()
  const options = { contender, size, names: 2, duplex: true, endpoints: 1 }
  const { address } = await hub.tell('open', { ...options, listens: true, echoFrom: 1 })
  for (const program of [flooder, asker]) {
    await program.tell('open', { ...options, listens: false, echoFrom: 2 })
    await program.tell('connect', address)
  }
  const ask = { count: timing.trips / 3, outstanding: 1, name: 1 }
  await asker.tell('trips', ask)
  const idle = await asker.tell('trips', ask)
  await hub.tell('mark')
  let flooded = sum(await flooder.tell('flood', { duration: timing.warmUp, names: 1 }))
  await hub.tell('peak')
  // The flood goes on until the last answer has come.
  let answered = false
  const flood = (async () => {
    while (!answered) flooded += sum(await flooder.tell('flood', { duration: 200, names: 1 }))
  })()
  const busy = await asker.tell('trips', ask)
  answered = true
  await flood
  const { loopDelay } = await hub.tell('peak')
  await hub.tell('arrived', flooded)
  return { idle: 1000 * idle.p50, busy: 1000 * busy.p50, times: busy.p50 / idle.p50, loopDelay }
}

/** A hundred peers that send as fast as they can to a node that reads nothing; then it reads everything. MiB. */
export async function hundredPeers(measured: Case, timing: Timing): Promise<Figures> {
  await using programs = await couple(measured, { endpoints: timing.idlePeers[0] as number })
  const { receiver, sender } = programs
  const before = await receiver.tell('memory')
  await receiver.tell('pace', 2 ** 30) // reads one, and then nothing
  await receiver.tell('peak')
  const flood = sender.tell('flood', { duration: 2 * timing.measured, names: 1 })
  await new Promise((resolve) => setTimeout(resolve, 2 * timing.measured))
  const full = await receiver.tell('peak')
  await receiver.tell('pace', 0)
  const sent = sum(await flood)
  await receiver.tell('arrived', sent)
  return { peak: (full.heap - before.heap) / 2 ** 20, sent }
}
