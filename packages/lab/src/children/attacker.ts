// Sends a node what no honest node sends, at every step of the protocol, and says what the node did.
import { chance } from '@glueberry/testkit'
import type { Attack, Random } from '../attacks/attack.ts'
import { muxerAttacks } from '../attacks/muxer.ts'
import { SessionAttacks } from '../attacks/sessions.ts'
import { socketAttacks } from '../attacks/sockets.ts'
import { targetAt } from '../target.ts'
import { atOnce } from './at-once.ts'

/** What it is told, as JSON. */
export interface AttackerOptions {
  readonly address: string
  readonly seed: number
  /** Inputs to send. */
  readonly count: number
}

/** Attacks at once. */
const AT_ONCE = 8

const { address, seed, count } = JSON.parse(process.argv[2] as string) as AttackerOptions
const target = targetAt(address)
await using sessions = new SessionAttacks(target)
await using muxer = await muxerAttacks(target)
const attacks: readonly Attack[] = [...(await socketAttacks(target)), ...muxer.all, ...sessions.all]
const total = attacks.reduce((sum, { weight }) => sum + weight, 0)

function next(random: Random): Attack {
  let at = random() * total
  for (const attack of attacks) {
    at -= attack.weight
    if (at < 0) return attack
  }
  return attacks[0] as Attack
}

let inputs = 0
let told = 0
const bySteps = new Map<Attack['step'], number>()
const randoms = Array.from({ length: AT_ONCE }, (_, i) => chance(seed + i))
await atOnce(
  AT_ONCE,
  () => inputs < count,
  async (which) => {
    const random = randoms[which] as Random
    const attack = next(random)
    try {
      const more = await attack.run(random)
      inputs += more
      bySteps.set(attack.step, (bySteps.get(attack.step) ?? 0) + more)
    } catch (error) {
      console.log(`wrong ${attack.name}: ${(error as Error).message}`)
    }
    if (inputs - told >= 100) {
      told = inputs
      console.log(`sent ${inputs}`)
    }
  },
)
console.log(`sent ${inputs}`)
console.log(`steps ${[...bySteps].map(([step, count]) => `${count.toLocaleString('en')} ${step}`).join(', ')}`)
