import { causeFault, healNetwork, sendBurst } from './faults.ts'
import { simulateProcessTime } from './process-time.ts'
import type { Profile } from './program.ts'
import { World } from './world.ts'

const [SECOND, MINUTE] = [1000, 60_000]
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
export async function simulate(seed: number, profile: Profile): Promise<Outcome> {
  const world = new World(seed, profile)
  using _time = simulateProcessTime(world.clock)
  await settled(world, Promise.all(world.identities.map((_, index) => world.begin(index))))
  await liveThroughChaos(world)
  await liveInPeace(world)
  await settled(world, Promise.all(world.programs.map((program) => program.stop())))
  const { oracle } = world
  if (world.failure === undefined) {
    try {
      oracle.settle()
    } catch (error) {
      world.failed(error)
    }
  }
  return {
    ...{ seed, simulated: world.time, delivered: oracle.delivered, givenUp: oracle.givenUp, trace: world.digest() },
    ...(world.failure === undefined ? {} : { failure: world.failure }),
  }
}

/** Waits in simulated time. */
async function settled(world: World, promise: Promise<unknown>): Promise<void> {
  let done = false
  promise
    .catch((error) => world.failed(error))
    .finally(() => {
      done = true
    })
  while (!done && world.time < CHAOS + PEACE) await world.clock.pass(MINUTE, () => done)
}

async function liveThroughChaos(world: World): Promise<void> {
  while (world.time < CHAOS && world.failure === undefined) {
    // Half of what happens happens close upon the last: in the middle of a handshake, a resume, a drain.
    await world.clock.pass(world.upTo(world.random() < 0.5 ? 300 : 90 * SECOND))
    if (world.random() < 0.6) sendBurst(world)
    else causeFault(world)
  }
}

/** Every way is open, everyone lives and consumes, until nothing waits. */
async function liveInPeace(world: World): Promise<void> {
  const { programs, clock } = world
  healNetwork(world)
  await clock.pass(MINUTE) // who is to be back is back
  for (const program of programs) program.block(false)
  const quiet = (): boolean =>
    programs.every((program) => program.alive && program.node.status === 'running' && program.quiet)
  while (!quiet() && world.failure === undefined && world.time < CHAOS + PEACE) await clock.pass(SECOND)
  if (quiet() || world.failure !== undefined) return
  const states = programs.map((program) => JSON.stringify({ ...program.node.health(), waiting: program.waiting }))
  world.failed(new Error(`not quiet after ${PEACE / MINUTE} minutes of peace: ${states.join(' ')}`))
}
