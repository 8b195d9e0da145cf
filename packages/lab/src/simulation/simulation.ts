import { createHash } from 'node:crypto'
import { Identity, type PeerId } from '@glueberry/node'
import { chance, MemoryNetwork, SimulatedClock } from '@glueberry/testkit'
import { Oracle } from './oracle.ts'
import { NAMES, Program } from './program.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
/** So long faults happen; then everything is healed, and has so long to settle. */
const CHAOS = 15 * MINUTE
const PEACE = 60 * MINUTE

/** What a history came to. */
export interface Outcome {
  readonly seed: number
  /** Simulated milliseconds. */
  readonly simulated: number
  readonly delivered: number
  /** Messages whose sender was told that they are undelivered. */
  readonly givenUp: number
  /** Of everything that was seen, in its order: the same for the same seed. */
  readonly trace: string
  /** What must not be, if anything was. */
  readonly failure?: string
}

/** One history of two to five nodes, made of the seed: faults for a quarter of an hour, then peace until all is quiet. */
export async function simulate(seed: number): Promise<Outcome> {
  const random = chance(seed)
  const upTo = (max: number): number => Math.floor(random() * (max + 1))
  const clock = new SimulatedClock()
  const network = new MemoryNetwork(clock, random)
  const oracle = new Oracle()
  const hash = createHash('sha256')
  const begun = clock.now()
  let failure: string | undefined
  const trace = (line: string): void => {
    hash.update(`${clock.now() - begun} ${line}\n`)
  }
  const failed = (error: Error): void => {
    trace(`FAILED ${error.message}`)
    failure ??= error.message
  }

  const count = 2 + Math.floor(4 * random() ** 3) // two in most histories, five in some
  const identities = Array.from({ length: count }, (_, i) =>
    Identity.fromSeed(Uint8Array.from({ length: 32 }, (_, j) => (seed >>> ((j % 4) * 8)) ^ (i * 37 + j))),
  )
  const keyLife = 2 * MINUTE + upTo(18 * MINUTE)
  const indexOf = (peerId: PeerId): number => identities.findIndex((identity) => identity.peerId === peerId)
  const lives: number[] = Array(count).fill(0)
  const programs: Program[] = []

  /** Waits in simulated time. */
  const settled = async (promise: Promise<unknown>): Promise<void> => {
    let done = false
    promise.then(
      () => {
        done = true
      },
      (error) => {
        done = true
        failed(error)
      },
    )
    while (!done && clock.now() - begun < CHAOS + PEACE) await clock.pass(MINUTE, () => done)
  }
  const begin = async (index: number): Promise<void> => {
    const life = (lives[index] as number) + 1
    lives[index] = life
    const identity = identities[index] as Identity
    const program = new Program({
      ...{ index, life, identity, network, clock, seed, oracle, keyLife, indexOf, trace, failed },
    })
    programs[index] = program
    await program.node.start()
    for (const [other, { peerId }] of identities.entries()) {
      // Often both know each other, and dial at once.
      if (other !== index && (other > index || random() < 0.7)) {
        await program.node.addPeer(peerId, [network.addressOf(peerId)])
      }
    }
  }
  await settled(Promise.all(identities.map((_, index) => begin(index))))

  const any = (): number => upTo(count - 1)
  const other = (index: number): number => (index + 1 + upTo(count - 2)) % count
  const later = (task: () => void, most: number): void => void clock.setTimer(task, upTo(most))
  const faults: (() => void)[] = [
    () => {
      const connection = network.connections[upTo(network.connections.length - 1)]
      if (connection === undefined) return
      trace('cut')
      connection.cut()
    },
    () => {
      const from = any()
      const [a, b] = [identities[from] as Identity, identities[other(from)] as Identity]
      trace(`block ${from} ${indexOf(b.peerId)}`)
      network.block(a.peerId, b.peerId, true)
      later(() => network.block(a.peerId, b.peerId, false), MINUTE)
    },
    () => {
      const from = any()
      const way = network.way((identities[from] as Identity).peerId, (identities[other(from)] as Identity).peerId)
      const least = upTo(200)
      way.delay = [least, least + upTo(300)]
    },
    () => {
      const index = any()
      const program = programs[index] as Program
      if (!program.alive) return
      trace(`kill ${index}`)
      program.kill()
      later(() => void begin(index).catch(failed), 30 * SECOND)
    },
    () => {
      const index = any()
      const program = programs[index] as Program
      if (!program.alive || program.node.status !== 'running') return
      trace(`stop ${index}`)
      void program.stop(random() < 0.5).then(() => {
        if (!program.killed) later(() => void begin(index).catch(failed), 30 * SECOND)
      }, failed)
    },
    () => {
      const program = programs[any()] as Program
      program.block(true)
      later(() => program.block(false), 30 * SECOND)
    },
    () => {
      const index = any()
      const [a, b] = [programs[index] as Program, programs[other(index)] as Program]
      if (a.alive && a.node.status === 'running')
        a.node.connect([`${network.addressOf(b.peerId)}/p2p/${b.peerId}`]).catch(() => {})
    },
  ]
  const burst = (): void => {
    const index = any()
    const [from, to] = [programs[index] as Program, programs[other(index)] as Program]
    if (!from.alive || from.node.status !== 'running') return
    const name = NAMES[upTo(NAMES.length - 1)] as (typeof NAMES)[number]
    for (let i = upTo(20); i >= 0; i--) from.send(to, name, random() < 0.02 ? upTo(200_000) : upTo(300))
  }

  while (clock.now() - begun < CHAOS && failure === undefined) {
    // Half of what happens happens close upon the last: in the middle of a handshake, a resume, a drain.
    await clock.pass(upTo(random() < 0.5 ? 300 : 90 * SECOND))
    if (random() < 0.6) burst()
    else (faults[upTo(faults.length - 1)] as () => void)()
  }

  // Peace: every way is open, everyone lives and consumes.
  for (const a of identities) {
    for (const b of identities) {
      network.block(a.peerId, b.peerId, false)
      network.way(a.peerId, b.peerId).delay = [1, 5]
    }
  }
  await clock.pass(MINUTE) // who is to be back is back
  for (const program of programs) program.block(false)
  const quiet = (): boolean =>
    programs.every((program) => program.alive && program.node.status === 'running' && program.quiet)
  while (!quiet() && failure === undefined && clock.now() - begun < CHAOS + PEACE) await clock.pass(SECOND)
  if (!quiet() && failure === undefined) {
    const states = programs.map((program) => JSON.stringify({ ...program.node.health(), waiting: program.waiting }))
    failed(new Error(`not quiet after ${PEACE / MINUTE} minutes of peace: ${states.join(' ')}`))
  }
  await settled(Promise.all(programs.map((program) => program.stop())))
  if (failure === undefined) {
    try {
      oracle.settle()
    } catch (error) {
      failed(error as Error)
    }
  }
  return {
    seed,
    simulated: clock.now() - begun,
    delivered: oracle.delivered,
    givenUp: oracle.givenUp,
    trace: hash.digest('hex').slice(0, 16),
    ...(failure === undefined ? {} : { failure }),
  }
}
