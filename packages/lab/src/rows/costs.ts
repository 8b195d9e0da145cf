import { fileURLToPath } from 'node:url'
import { Identity, Node } from '@glueberry/node'
import { percentile, spawnNode } from '@glueberry/testkit'
import { Listener } from '../listener.ts'
import type { Row, RowResult } from '../row.ts'

const program = fileURLToPath(new URL('../children/costs.ts', import.meta.url))
/** Ten times as many may take so many times as long: below it is no square. */
const GROWTH_MAX = 30
/** What is left of a stranger, in bytes. */
const LEFT_MAX = 1024

/** Strangers come in steps; what is left is measured after each. */
const STEPS = 7
const STRANGERS_A_STEP = 200

/** What the child measures: how many times as long ten times as many take. */
export interface Cost {
  readonly name: string
  readonly growth: number
  readonly figure: string
}

/** What must not grow by the square of the calls, nor with the number of peers, nor for ever. */
export const costs: Row = {
  title: 'calls and peers by the ten thousand: what each of them costs beside ten times as many',
  wanted: `ten times as many calls take at most ${GROWTH_MAX} times as long, a call no longer beside many peers; a stranger that is gone leaves at most ${LEFT_MAX} bytes`,
  async run({ short, progress }): Promise<RowResult> {
    progress('calls')
    await using child = spawnNode([program, short ? 'short' : 'long'])
    const code = await child.ended
    if (code !== 0) throw new Error(`${program} ended with ${code}: ${child.errorLines.join('\n')}`)
    const costs = child.lines.map((line) => JSON.parse(line) as Cost)
    const failures: string[] = []
    for (const { name, growth, figure } of costs) {
      if (!short && growth > GROWTH_MAX) failures.push(`${name}: ${figure}`)
    }
    const figures = costs.map(({ name, figure }) => `${name} ${figure}`)
    for (const names of [1, 64]) {
      const left = await leftByStrangers(names, short ? 1 : STEPS, short ? 5 : STRANGERS_A_STEP, progress)
      figures.push(`a stranger of ${names} names left ${left.toFixed(0)} bytes`)
      if (!short && left > LEFT_MAX) failures.push(figures.at(-1) as string)
    }
    return { passed: failures.length === 0, figure: figures.join('; '), failures }
  },
}

/** What a node keeps of each stranger that has used so many names and has left, in bytes. */
async function leftByStrangers(
  names: number,
  steps: number,
  step: number,
  progress: (text: string) => void,
): Promise<number> {
  await using listener = await Listener.start(0, names)
  const streams = Array.from({ length: names }, (_, i) => (i === 0 ? 'x' : `x${i}`))
  const come = async (): Promise<void> => {
    const stranger = new Node({ identity: Identity.generate(), streams, limits: { messageSize: 10_000 } })
    await stranger.start()
    const id = await stranger.connect(listener.address)
    await Promise.all(streams.map((stream) => stranger.send(id, stream, 'hello', { confirm: true })))
    await stranger.stop()
  }
  let before = Number.NaN
  const left: number[] = []
  for (let i = 0; i <= steps; i++) {
    for (let j = 0; j < step; j++) await come()
    progress(`${(i + 1) * step} strangers of ${names} names`)
    await new Promise((resolve) => setTimeout(resolve, 1500)) // the last connections close
    const held = await listener.held()
    if (i > 0) left.push((held - before) / step) // what is compiled and cached once is there after the first step
    before = held
  }
  return percentile(left, 0.5) // a table that grows or shrinks once is in one step only
}
