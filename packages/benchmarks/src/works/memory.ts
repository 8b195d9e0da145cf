import { PlayerProcess } from '../program-process.ts'
import type { Case, Figures } from '../results.ts'
import { sum } from '../statistics.ts'
import { couple } from './couple.ts'
import type { Timing } from './timing.ts'

/** What each of many connected peers that say nothing costs the node that they are connected to, in KiB. */
export async function idlePeers({ contender, size }: Case, timing: Timing): Promise<Figures> {
  await using hub = new PlayerProcess()
  await using crowd = new PlayerProcess()
  const options = { contender, size, names: 1, duplex: false, echoFrom: 1, peers: 1 + Math.max(...timing.idlePeers) }
  const { address } = await hub.tell('open', { ...options, listens: true, endpoints: 1 })
  let open = 0
  const grow = async (to: number): Promise<{ heap: number; rss: number }> => {
    await crowd.tell('open', { ...options, listens: false, endpoints: to - open })
    await crowd.tell('connect', address)
    open = to
    return hub.tell('memory')
  }
  const base = await grow(1) // with one, all code is loaded
  const figures: Record<string, number> = {}
  for (const peers of timing.idlePeers) {
    const memory = await grow(1 + peers)
    figures[`heap ${peers}`] = (memory.heap - base.heap) / peers / 1024
    figures[`rss ${peers}`] = (memory.rss - base.rss) / peers / 1024
  }
  return figures
}

/** What 64 names cost that are used once and left, in KiB a name. */
export async function usedNames(measured: Case): Promise<Figures> {
  const names = 64
  await using programs = await couple(measured, { names })
  const { receiver, sender } = programs
  await sender.tell('stuff', { count: 1, name: 0 })
  await receiver.tell('arrived', 1)
  const before = [await sender.tell('memory'), await receiver.tell('memory')] as const
  for (let name = 1; name < names; name++) await sender.tell('stuff', { count: 1, name })
  await receiver.tell('arrived', names)
  const after = [await sender.tell('memory'), await receiver.tell('memory')] as const
  return {
    sender: (after[0].heap - before[0].heap) / (names - 1) / 1024,
    receiver: (after[1].heap - before[1].heap) / (names - 1) / 1024,
  }
}

/** What each of many kept messages costs, in bytes, when all are kept and when one in twenty is. */
export async function keptMessages(measured: Case, timing: Timing): Promise<Figures> {
  const figures: Record<string, number> = {}
  for (const every of [1, 20]) {
    await using programs = await couple(measured)
    const { receiver, sender } = programs
    await receiver.tell('mark')
    await receiver.tell('arrived', sum(await sender.tell('flood', { duration: timing.warmUp, names: 1 })))
    const before = await receiver.tell('memory')
    await receiver.tell('keep', every)
    await receiver.tell('mark')
    let sent = 0
    while (sent < timing.keptMessages * every) {
      sent += sum(await sender.tell('flood', { duration: 100, names: 1 }))
    }
    const { kept } = await receiver.tell('arrived', sent)
    const after = await receiver.tell('memory')
    figures[`one in ${every}`] = (after.heap - before.heap) / kept
  }
  return figures
}

/** What each of many messages that wait for the other application costs, in bytes, at both ends. */
export async function backlog(measured: Case, timing: Timing): Promise<Figures> {
  const { outstanding } = measured
  await using programs = await couple(measured)
  const { receiver, sender } = programs
  await receiver.tell('mark')
  const grown = sum(await sender.tell('flood', { duration: timing.warmUp, names: 1 })) // the window grows
  await receiver.tell('arrived', grown)
  await receiver.tell('pace', 2 ** 30)
  const before = [await sender.tell('memory'), await receiver.tell('memory')] as const
  await sender.tell('stuff', { count: outstanding, name: 0 })
  await receiver.tell('arrived', grown + 1) // one is taken
  await new Promise((resolve) => setTimeout(resolve, timing.settle)) // the others are on their way to its inbox
  const after = [await sender.tell('memory'), await receiver.tell('memory')] as const
  return {
    sender: (after[0].heap - before[0].heap) / outstanding,
    receiver: (after[1].heap - before[1].heap) / outstanding,
  }
}
