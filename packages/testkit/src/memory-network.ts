import { GlueberryError, type PeerId } from '@glueberry/node'
import type { Host, HostHandlers, Link } from '../../node/src/transport/transport.ts'
import { type Carrier, type Endpoint, MemoryConnection, type Program } from './memory-connection.ts'
import type { SimulatedClock } from './simulated-clock.ts'

type Clock = Pick<SimulatedClock, 'setTimer'>

/** How the way from one host to another is now. */
export interface Way {
  /** Nothing arrives; what was sent arrives when it is open again, if its connection still lives then. */
  blocked: boolean
  /** Milliseconds that each piece takes, at least and at most. */
  delay: readonly [least: number, most: number]
}

/**
 * Hosts without a network: connections and streams of bytes whose delays, cuts and one-way blocks are chosen, on simulated
 * time and chance. Bytes of one stream and direction arrive in order, as over TCP; different streams overtake each other.
 */
export class MemoryNetwork implements Carrier {
  readonly clock: Clock
  readonly random: () => number
  readonly #hosts = new Map<string, MemoryHost>()
  readonly #connections = new Set<MemoryConnection>()
  readonly #ways = new Map<string, Way>()
  /** Where a program listens, in each of its lives. */
  readonly #addresses = new Map<PeerId, string>()
  readonly #held = new Map<string, { readonly from: Program; readonly to: Program; readonly task: () => void }[]>()

  constructor(clock: Clock, random: () => number) {
    this.clock = clock
    this.random = random
  }

  /** A host that is to be started. */
  makeHost(peerId: PeerId): MemoryHost {
    return new MemoryHost(this, peerId)
  }

  get connections(): readonly MemoryConnection[] {
    return [...this.#connections]
  }

  way(from: PeerId, to: PeerId): Way {
    const key = `${from}>${to}`
    let way = this.#ways.get(key)
    if (way === undefined) {
      way = { blocked: false, delay: [1, 5] }
      this.#ways.set(key, way)
    }
    return way
  }

  /** Opens or blocks the way from one host to the other. */
  block(from: PeerId, to: PeerId, blocked: boolean): void {
    this.way(from, to).blocked = blocked
    if (blocked) return
    const key = `${from}>${to}`
    const held = this.#held.get(key) ?? []
    this.#held.delete(key)
    for (const sent of held) this.carry({ ...sent.from, dead: false }, sent.to, sent.task) // it was sent before its sender died
  }

  /** The program behind this host is gone without a word. Its machine closes its connections; nothing reaches it any more. */
  kill(killed: MemoryHost): void {
    this.close(killed)
    for (const connection of this.#connections) if (connection.involves(killed)) connection.leave(killed)
    killed.dead = true
  }

  /** Runs `task` when what is sent now arrives; later where the way is blocked. */
  carry(from: Program, to: Program, task: () => void): void {
    if (from.dead) return
    const { blocked, delay } = this.way(from.peerId, to.peerId)
    if (blocked) {
      const key = `${from.peerId}>${to.peerId}`
      const held = this.#held.get(key)
      const sent = { from, to, task }
      if (held === undefined) this.#held.set(key, [sent])
      else held.push(sent)
      return
    }
    const [least, most] = delay
    this.clock.setTimer(() => (to.dead ? undefined : task()), least + Math.floor(this.random() * (most - least + 1)))
  }

  addressOf(peerId: PeerId): string {
    let address = this.#addresses.get(peerId)
    if (address === undefined) {
      address = `/memory/${this.#addresses.size + 1}`
      this.#addresses.set(peerId, address)
    }
    return address
  }

  /** Who has this address, listening or not. */
  peerAt(address: string): PeerId {
    for (const [peerId, its] of this.#addresses) if (its === address) return peerId
    throw new Error(`nobody has the address ${address}`)
  }

  listen(host: MemoryHost): string {
    const address = this.addressOf(host.peerId)
    this.#hosts.set(address, host)
    return address
  }

  close(host: MemoryHost): void {
    const address = this.addressOf(host.peerId)
    if (this.#hosts.get(address) === host) this.#hosts.delete(address)
  }

  hostAt(address: string): MemoryHost | undefined {
    return this.#hosts.get(address)
  }

  add(connection: MemoryConnection): void {
    this.#connections.add(connection)
  }

  remove(connection: MemoryConnection): void {
    this.#connections.delete(connection)
  }
}

/** One program's host. */
export class MemoryHost implements Host, Endpoint {
  readonly peerId: PeerId
  readonly #network: MemoryNetwork
  #address: string | undefined
  readonly missing: readonly string[] = []
  dead = false
  handlers: HostHandlers | undefined

  constructor(network: MemoryNetwork, peerId: PeerId) {
    this.#network = network
    this.peerId = peerId
  }

  get addresses(): readonly string[] {
    return this.#address === undefined ? [] : [`${this.#address}/p2p/${this.peerId}`]
  }

  async start(handlers: HostHandlers): Promise<void> {
    this.handlers = handlers
    this.#address = this.#network.listen(this)
    handlers.onAddresses(this.addresses)
  }

  async stop(): Promise<void> {
    this.#network.close(this)
    for (const connection of this.#network.connections) {
      if (connection.involves(this)) connection.leave(this)
    }
  }

  dial(peerId: PeerId, address: string, signal: AbortSignal): Promise<Link> {
    const network = this.#network
    const target = address.replace(/\/p2p\/.*$/, '')
    return new Promise<Link>((resolve, reject) => {
      const refuse = (text: string): void =>
        network.carry({ peerId, dead: false }, this, () =>
          reject(new GlueberryError('CONNECT_FAILED', `cannot connect to ${address}: ${text}`, { peerId })),
        )
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
      // There, back, and there again: only then does the other side have a connection.
      network.carry(this, { peerId, dead: false }, () => {
        const remote = network.hostAt(target)
        if (remote?.peerId !== peerId || remote.handlers === undefined) return refuse('nobody listens there')
        const { handlers } = remote
        const slot = handlers.admit(this.peerId, () => connection.leave(remote))
        const connection = new MemoryConnection(network, this, remote, slot)
        if (slot === undefined || !handlers.admitsPeer(this.peerId)) {
          slot?.release()
          return refuse('it does not want this peer')
        }
        network.add(connection)
        network.carry(remote, this, () => {
          if (signal.aborted) connection.leave(this)
          else resolve(connection.outbound)
        })
      })
    })
  }
}
