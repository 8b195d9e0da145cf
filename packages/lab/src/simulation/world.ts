import { createHash } from 'node:crypto'
import { Identity, type PeerId } from '@glueberry/node'
import { chance, MemoryNetwork, SimulatedClock } from '@glueberry/testkit'
import { Oracle } from './oracle.ts'
import { type Profile, Program } from './program.ts'

const MINUTE = 60_000

/** The programs of one history, what lies between them, and the chance that decides. */
export class World {
  readonly random: () => number
  readonly clock: SimulatedClock = new SimulatedClock()
  readonly network: MemoryNetwork
  readonly oracle: Oracle = new Oracle()
  readonly identities: readonly Identity[]
  /** The program of each identity, in its current life. */
  readonly programs: Program[] = []
  readonly #seed: number
  readonly #profile: Profile
  readonly #lives: number[]
  readonly #keyLife: number
  readonly #begun = this.clock.now()
  readonly #trace = createHash('sha256')
  #failure: string | undefined

  constructor(seed: number, profile: Profile) {
    this.#seed = seed
    this.#profile = profile
    this.random = chance(seed)
    this.network = new MemoryNetwork(this.clock, this.random)
    const count = 2 + Math.floor(4 * this.random() ** 3) // two in most histories, five in some
    this.identities = Array.from({ length: count }, (_, i) =>
      Identity.fromSeed(Uint8Array.from({ length: 32 }, (_, j) => (seed >>> ((j % 4) * 8)) ^ (i * 37 + j))),
    )
    this.#keyLife = 2 * MINUTE + this.upTo(18 * MINUTE)
    this.#lives = Array(count).fill(0)
  }

  /** Simulated milliseconds since the history began. */
  get time(): number {
    return this.clock.now() - this.#begun
  }

  /** What must not be, if anything was. */
  get failure(): string | undefined {
    return this.#failure
  }

  /** A whole number, at most `max`. */
  upTo(max: number): number {
    return Math.floor(this.random() * (max + 1))
  }

  /** A program, by its index. */
  any(): number {
    return this.upTo(this.identities.length - 1)
  }

  /** Another one. */
  other(index: number): number {
    const count = this.identities.length
    return (index + 1 + this.upTo(count - 2)) % count
  }

  /** Runs `task` within so many milliseconds. */
  later(task: () => void, most: number): void {
    this.clock.setTimer(task, this.upTo(most))
  }

  trace(line: string): void {
    this.#trace.update(`${this.time} ${line}\n`)
  }

  failed(error: unknown): void {
    const { message } = error as Error
    this.trace(`FAILED ${message}`)
    this.#failure ??= message
  }

  /** Of everything that was seen, in its order; ends the trace. */
  digest(): string {
    return this.#trace.digest('hex').slice(0, 16)
  }

  /** The next life of a program. Resolves when its node runs and knows its peers. */
  async begin(index: number): Promise<void> {
    const life = (this.#lives[index] as number) + 1
    this.#lives[index] = life
    const identity = this.identities[index] as Identity
    const { network, clock, oracle } = this
    const program = new Program({
      ...{ index, life, identity, network, clock, oracle },
      ...{ profile: this.#profile, seed: this.#seed, keyLife: this.#keyLife },
      indexOf: (peerId: PeerId) => this.identities.findIndex((identity) => identity.peerId === peerId),
      trace: (line) => this.trace(line),
      failed: (error) => this.failed(error),
    })
    this.programs[index] = program
    await program.node.start()
    for (const [other, { peerId }] of this.identities.entries()) {
      // Often both know each other, and dial at once.
      if (other !== index && (other > index || this.random() < 0.7)) {
        await program.node.addPeer(peerId, [network.addressOf(peerId)])
      }
    }
  }

  /** Within half a minute, the next life of a program. */
  beginLater(index: number): void {
    this.later(() => void this.begin(index).catch((error) => this.failed(error)), MINUTE / 2)
  }
}
