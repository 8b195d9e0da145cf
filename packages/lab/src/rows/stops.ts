import { fileURLToPath } from 'node:url'
import { GlueberryError, Identity, Node, type PeerId, parsePeerId } from '@glueberry/node'
import { chance, spawnNode } from '@glueberry/testkit'
import { Listener } from '../listener.ts'
import type { Row, RowResult } from '../row.ts'
import { within } from '../within.ts'

const program = fileURLToPath(new URL('../children/stopper.ts', import.meta.url))
/** Of the whole row: in this process, and by a signal to a process of its own. */
const [STOPS, DRAINS, SIGNALS] = [200, 200, 100]
/** What takes longer than this does not end, in milliseconds: `drain` has a time-out of 30 s. */
const PATIENCE = 40_000

/** What a sender knows of its messages, which count from 1, and the ranges that it was told are undelivered. */
interface Told {
  readonly peerId: PeerId
  readonly accepted: number
  readonly undelivered: readonly { readonly from: number; readonly count: number }[]
}

/** What must not be: accepted messages that were neither consumed nor told of, and others that were told of. */
function wrongIn({ accepted, undelivered }: Told, consumed: number): string | undefined {
  const told = new Set<number>()
  for (const { from, count } of undelivered) {
    for (let number = from; number < from + count; number++) {
      if (told.has(number)) return `${number} was told twice to be undelivered`
      if (number > accepted) return `${number} was told to be undelivered, and only ${accepted} were accepted`
      told.add(number)
    }
  }
  for (let number = consumed + 1; number <= accepted; number++) {
    if (!told.has(number)) return `${number} of ${accepted} was neither consumed (${consumed} were) nor told of`
  }
  return undefined
}

/** Nodes that end at any instant: before they are started, while they dial, in the middle of sending. */
export const stops: Row = {
  title: '`stop()`, `drain()` and SIGTERM at random instants, while messages are sent',
  wanted: '500 of 500 clean; whatever was accepted is consumed or told to be undelivered',
  async run({ seed, short, budget, progress }): Promise<RowResult> {
    const random = chance(seed)
    const [stopCount, drainCount, signalCount] = short ? [15, 15, 4] : [STOPS, DRAINS, SIGNALS]
    const wanted = stopCount + drainCount + signalCount
    await using listener = await Listener.start()
    await listener.honestDial(60_000)
    const failures: string[] = []
    const begun = performance.now()
    let done = 0
    let told = 0
    let sent = 0
    const one = async (i: number): Promise<void> => {
      const signal = i >= stopCount + drainCount
      const after = random() * (signal ? 1500 : 120)
      const what = `number ${i}, ${signal ? 'SIGTERM' : i < stopCount ? 'stop' : 'drain'} after ${after.toFixed(1)} ms`
      try {
        const sender = await (signal
          ? bySignal(listener.address, after)
          : byCall(listener.address, after, i >= stopCount))
        const consumed = await listener.lastOf(sender.peerId)
        const undelivered = sender.undelivered.reduce((sum, { count }) => sum + count, 0)
        told += undelivered
        if (sender.accepted > 0) sent++
        const wrong = wrongIn(sender, consumed)
        if (wrong !== undefined) failures.push(`${what}: ${wrong}`)
        if (i >= stopCount && !signal && (undelivered > 0 || consumed !== sender.accepted)) {
          failures.push(`${what}: drained, and ${consumed} of ${sender.accepted} were consumed`)
        }
      } catch (error) {
        failures.push(`${what}: ${(error as Error).message}`)
      }
      progress(`${++done} of ${wanted}, ${failures.length} not clean`)
    }
    for (let i = 0; i < wanted && performance.now() - begun < budget; i++) await one(i)
    if (done < wanted) failures.push(`the time was up after ${done} of ${wanted}`)
    if (sent < (short ? 1 : done / 4)) failures.push(`only ${sent} of ${done} had sent anything when they ended`)
    failures.push(...listener.errors.slice(0, 3))
    const { wrong } = await listener.count()
    if (wrong > 0) failures.push(`${wrong} messages were not the next one`)
    return {
      passed: failures.length === 0,
      figure: `${done - failures.length} of ${wanted} clean (${stopCount} stop, ${drainCount} drain, ${signalCount} SIGTERM); ${sent} of them in the middle of sending; ${told.toLocaleString('en')} messages told to be undelivered`,
      failures: failures.map((failure) => `seed ${seed}: ${failure}`),
    }
  },
}

async function byCall(address: string, after: number, drains: boolean): Promise<Told> {
  const node = new Node({ identity: Identity.generate(), streams: ['x'] })
  let accepted = 0
  const undelivered: { from: number; count: number }[] = []
  node.on('undelivered', ({ from, count }) => void undelivered.push({ from, count }))
  let ended = false
  const working = (async () => {
    await node.start()
    const peer = await node.connect(address)
    for (let i = 1; ; i++) {
      await node.send(peer, 'x', String(i))
      accepted++
      if (i % 50 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
  })().catch((error) => {
    if (!ended || !GlueberryError.is(error, 'STOPPED', 'DRAINING', 'NOT_RUNNING', 'UNDELIVERED')) throw error
  })
  await Promise.race([working, new Promise((resolve) => setTimeout(resolve, after))])
  ended = true
  await within(PATIENCE, 'it does not end', drains ? node.drain().then(() => {}) : node.stop())
  await within(PATIENCE, 'a call does not end', working)
  if (node.status !== 'stopped' && node.status !== 'idle') throw new Error(`the node is ${node.status}`)
  return { peerId: node.peerId, accepted, undelivered }
}

async function bySignal(address: string, after: number): Promise<Told> {
  await using child = spawnNode([program, address])
  await child.line(/^armed$/)
  await new Promise((resolve) => setTimeout(resolve, after))
  child.kill('SIGTERM')
  const code = await child.ended
  const output = [...child.lines, ...child.errorLines].join('\n')
  const peer = /^peer (.*)$/m.exec(output)?.[1]
  const told = /^stopped (.*)$/m.exec(output)?.[1]
  if (code !== 0 || peer === undefined || told === undefined) throw new Error(`it ended with ${code}: ${output}`)
  return { peerId: parsePeerId(peer), ...(JSON.parse(told) as Omit<Told, 'peerId'>) }
}
