import { Identity, Node } from '@glueberry/node'
import { chance, FaultProxy, type LineProfile } from '@glueberry/testkit'
import type { Row, RowResult } from '../row.ts'

const STALL = { every: 9000, duration: 2000 }
const [KBIT, MBIT] = [1000, 1_000_000]
const PROFILES: readonly LineProfile[] = [
  { delay: 16, jitter: 4, rate: 10 * MBIT },
  { delay: 50, jitter: 30, rate: 10 * MBIT, stall: STALL },
  { delay: 100, jitter: 50, rate: 2 * MBIT, stall: STALL },
  { delay: 200, jitter: 100, rate: MBIT, stall: STALL },
  { delay: 450, jitter: 100, rate: MBIT, stall: STALL },
  { delay: 450, jitter: 100, rate: 256 * KBIT, stall: STALL },
  { delay: 450, jitter: 100, rate: 64 * KBIT, stall: STALL },
  { delay: 16, rate: 64 * KBIT, stall: STALL },
  { delay: 800, jitter: 200, rate: 64 * KBIT, stall: STALL },
]
/** Up to this delay, in milliseconds, a line that lives must never be taken for dead. */
const NO_FALSE_DEATH = 450

/** Slow lines that live. */
export const degrade: Row = {
  title:
    'lines of 16 ms to 800 ms each way, with jitter, stalls of 2 s, 64 kbit/s to 10 Mbit/s, full of messages in both directions',
  wanted: `no false death up to ${NO_FALSE_DEATH} ms with 2 s stalls; throughput reported`,
  async run({ seed, short, budget, progress }): Promise<RowResult> {
    const duration = short ? 10_000 : Math.min(240_000, budget)
    const lines = await Promise.all(PROFILES.map((profile, i) => Correspondents.over(profile, chance(seed + i))))
    const begun = performance.now()
    for (const line of lines) line.begin()
    const ticker = setInterval(() => {
      const left = Math.max(0, duration - (performance.now() - begun)) / 1000
      progress(
        `${lines.length} lines for ${left.toFixed(0)} s more, ${lines.filter(({ lost }) => lost > 0).length} lost`,
      )
    }, 500)
    await new Promise((resolve) => setTimeout(resolve, duration))
    clearInterval(ticker)
    const seconds = (performance.now() - begun) / 1000
    const failures: string[] = []
    const figures = lines.map(({ profile, lost, received, wrong }) => {
      const name = `${profile.delay} ms ${(profile.rate as number) / KBIT} kbit/s${profile.stall === undefined ? '' : ' stalls'}`
      const used = (100 * 8 * received) / seconds / 2 / (profile.rate as number)
      if (lost > 0 && profile.delay <= NO_FALSE_DEATH) failures.push(`${name}: taken for dead ${lost} times`)
      if (wrong > 0) failures.push(`${name}: ${wrong} messages were not the next one`)
      if (!short && received === 0) failures.push(`${name}: nothing arrived`)
      return `${name}: ${used.toFixed(0)} %${lost > 0 ? `, ${lost} deaths` : ''}`
    })
    await Promise.all(lines.map((line) => line[Symbol.asyncDispose]()))
    return {
      passed: failures.length === 0,
      figure: `${seconds.toFixed(0)} s, of each line's rate used for messages: ${figures.join('; ')}`,
      failures: failures.map((failure) => `seed ${seed}: ${failure}`),
    }
  },
}

/** Two nodes that fill the line between them. */
class Correspondents implements AsyncDisposable {
  readonly profile: LineProfile
  readonly #nodes: readonly Node<'small' | 'large'>[]
  readonly #proxy: FaultProxy
  readonly #last = new Map<string, number>()
  #over = false
  lost = 0
  /** Bytes of messages that were consumed at both. */
  received = 0
  /** Messages that were not the next one. */
  wrong = 0

  static async over(profile: LineProfile, random: () => number): Promise<Correspondents> {
    const listen = ['/ip4/127.0.0.1/tcp/0']
    const nodes = [0, 1].map(() => new Node({ identity: Identity.generate(), streams: ['small', 'large'], listen }))
    const [a, b] = nodes as [Node<'small' | 'large'>, Node<'small' | 'large'>]
    await Promise.all([a.start(), b.start()])
    const proxy = await FaultProxy.to(a.addrs[0] as string)
    proxy.plan({ kind: 'line', profile, random })
    await b.connect(proxy.address)
    return new Correspondents(profile, [a, b], proxy)
  }

  private constructor(profile: LineProfile, nodes: readonly Node<'small' | 'large'>[], proxy: FaultProxy) {
    this.profile = profile
    this.#nodes = nodes
    this.#proxy = proxy
    for (const [i, node] of nodes.entries()) {
      node.on('disconnected', () => this.lost++)
      node.handle(['small', 'large'], ({ stream, data }) => {
        const key = `${i} ${stream}`
        const number = new DataView(data.buffer, data.byteOffset).getUint32(0)
        if (number !== (this.#last.get(key) ?? 0) + 1) this.wrong++
        this.#last.set(key, number)
        this.received += data.length
      })
    }
  }

  /** From now on the line is full. */
  begin(): void {
    for (const [i, node] of this.#nodes.entries()) {
      const other = this.#nodes[1 - i] as Node
      void this.#fill(node, other, 'small', 1000)
      void this.#fill(node, other, 'large', 200_000)
    }
  }

  async #fill(from: Node<'small' | 'large'>, to: Node, name: 'small' | 'large', size: number): Promise<void> {
    const data = new Uint8Array(size)
    try {
      for (let number = 1; !this.#over; number++) {
        new DataView(data.buffer).setUint32(0, number)
        await from.send(to.peerId, name, data)
      }
    } catch (error) {
      if (!this.#over) throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over = true
    this.#proxy.cut()
    await Promise.all(this.#nodes.map((node) => node.stop()))
    await this.#proxy[Symbol.asyncDispose]()
  }
}
