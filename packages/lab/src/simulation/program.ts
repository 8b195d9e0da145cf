import { type Identity, type Message, Node, type NodeEvent, type PeerId } from '@glueberry/node'
import { chance, type MemoryNetwork, memoryTransport, type SimulatedClock } from '@glueberry/testkit'
import { systemPlatform } from '../../../node/src/platform.ts'
import type { Content, Oracle } from './oracle.ts'
import { ProgramClock } from './program-clock.ts'

/** Bytes before the filler of a message: sender, life, number, size of the filler. */
const HEADER = 16

export const NAMES = ['x', 'y'] as const
type Name = (typeof NAMES)[number]

export type Profile = 'memory' | 'libp2p'

export interface ProgramOptions {
  readonly index: number
  readonly life: number
  readonly identity: Identity
  readonly network: MemoryNetwork
  /** What carries bytes from node to node: the network's own streams, or libp2p (Noise and yamux) on one of them. */
  readonly profile: Profile
  readonly clock: SimulatedClock
  readonly seed: number
  readonly oracle: Oracle
  /** Keys are renewed after so long, in milliseconds. */
  readonly keyLife: number
  /** Which program a peer is. */
  indexOf(peerId: PeerId): number
  trace(line: string): void
  /** Something was seen that must not be. */
  failed(error: Error): void
}

/** One life of one program: a whole node on a host in memory, and an application that sends, consumes, and checks. */
export class Program {
  readonly node: Node<Name>
  readonly peerId: PeerId
  readonly #options: ProgramOptions
  readonly #clock: ProgramClock
  readonly #numbers = new Map<string, number>()
  readonly #host: ReturnType<MemoryNetwork['makeHost']>
  #blocked = Promise.withResolvers<void>()
  #dead = false
  /** Sends that have neither been accepted nor refused. */
  waiting = 0

  constructor(options: ProgramOptions) {
    this.#options = options
    const { index, life, identity, network, profile, clock, seed, keyLife } = options
    this.peerId = identity.peerId
    this.#clock = new ProgramClock(clock, chance(seed ^ (index * 1009 + life)))
    this.#host = network.makeHost(identity.peerId)
    const common = { identity, streams: NAMES, timeouts: { session: keyLife }, limits: { messageSize: 256 * 1024 } }
    this.node =
      profile === 'memory'
        ? new Node<Name>(common, { ...systemPlatform, clock: this.#clock, makeHost: () => this.#host })
        : new Node<Name>(
            {
              ...common,
              listen: [network.addressOf(identity.peerId)],
              libp2p: { transports: [memoryTransport(network, this.#host)] },
            },
            { ...systemPlatform, clock: this.#clock },
          )
    this.#blocked.resolve()
    this.node.on('*', (event) => this.#event(event))
    this.node.handle('x', (message) => this.#consume(message))
    void this.#loop()
  }

  get alive(): boolean {
    return !this.#dead
  }

  get killed(): boolean {
    return this.#clock.dead
  }

  /** Whether nothing waits to be sent or consumed. */
  get quiet(): boolean {
    const { buffered, held } = this.node.health()
    return buffered === 0 && held === 0 && this.waiting === 0
  }

  /** The application consumes nothing until told otherwise. */
  block(blocked: boolean): void {
    this.#blocked.resolve()
    if (blocked) this.#blocked = Promise.withResolvers()
  }

  send(to: Program, name: Name, size: number): void {
    const { index, life, oracle } = this.#options
    const receiver = to.#options.index
    const key = `${receiver} ${name}`
    const number = (this.#numbers.get(key) ?? 0) + 1
    this.#numbers.set(key, number)
    const content: Content = { sender: index, life, number }
    const data = new Uint8Array(HEADER + size).fill(number)
    new Uint32Array(data.buffer, 0, 4).set([index, life, number, size])
    this.waiting++
    this.node.send(to.peerId, name, data).then(
      () => {
        this.waiting--
        if (!this.#dead) oracle.accepted(content, receiver, name)
      },
      (error) => {
        this.waiting--
        this.#trace(`send refused ${error.code}`)
      },
    )
  }

  /** SIGKILL. */
  kill(): void {
    const { index, life, oracle } = this.#options
    oracle.killed(index, life)
    this.#dead = true
    this.#options.network.kill(this.#host)
    this.#clock.kill()
  }

  /** Stops, or drains first; whatever it had accepted must be consumed or told of, and no timer may be left. */
  async stop(drains = false): Promise<void> {
    if (drains) await this.node.drain({ timeout: 5000 })
    else await this.node.stop()
    if (this.killed) return // meanwhile
    this.#dead = true
    if (this.#clock.timers > 0) this.#options.failed(new Error(`a stopped node has left ${this.#clock.timers} timers`))
  }

  async #loop(): Promise<void> {
    for await (const message of this.node.messages('y')) {
      this.#received(message)
      await this.#blocked.promise
    }
  }

  async #consume(message: Message<Name>): Promise<void> {
    await this.#blocked.promise
    this.#received(message)
  }

  #received(message: Message): void {
    if (this.#dead) return
    const { index, life, oracle, failed } = this.#options
    const header = new Uint32Array(message.data.slice(0, HEADER).buffer)
    const [sender, senderLife, number, size] = header as unknown as [number, number, number, number]
    this.#trace(`got ${sender}.${senderLife} ${message.stream} ${number}${message.redelivered ? ' again' : ''}`)
    try {
      if (this.#options.indexOf(message.peerId) !== sender) throw new Error('a message is not of who sent it')
      const filler = message.data.subarray(HEADER)
      if (filler.length !== size || filler.some((byte) => byte !== (number & 0xff))) {
        throw new Error(`message ${number} of ${sender}.${senderLife} is not what was sent`)
      }
      oracle.received({ sender, life: senderLife, number }, index, life, message)
    } catch (error) {
      failed(error as Error)
    }
  }

  #event(event: NodeEvent): void {
    if (this.#dead) return
    const { index, life, oracle, indexOf } = this.#options
    const about = 'peerId' in event ? ` ${indexOf(event.peerId)}` : ''
    this.#trace(`${event.type}${about}`)
    if (event.type === 'undelivered') {
      try {
        oracle.undelivered(index, life, indexOf(event.peerId), event.stream, event.from, event.count)
      } catch (error) {
        this.#options.failed(error as Error)
      }
    } else if (event.type === 'error') {
      this.#options.failed(event.error)
    }
  }

  #trace(line: string): void {
    this.#options.trace(`${this.#options.index}.${this.#options.life} ${line}`)
  }
}
