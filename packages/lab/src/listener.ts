import { fileURLToPath } from 'node:url'
import { Identity, Node, type PeerId } from '@glueberry/node'
import { type Child, FaultProxy, spawnNode } from '@glueberry/testkit'
import { type Target, targetAt } from './target.ts'

const program = fileURLToPath(new URL('children/listener.ts', import.meta.url))

/** A node in a process of its own that is to stay well. */
export class Listener implements AsyncDisposable {
  readonly #child: Child
  readonly address: string
  readonly target: Target

  private constructor(child: Child, address: string) {
    this.#child = child
    this.address = address
    this.target = targetAt(address)
  }

  /** @param peers how many will connect, if it is to take more than usual
   * @param names how many stream names it accepts: x, x1, x2, …
   */
  static async start(peers = 0, names = 1): Promise<Listener> {
    const child = spawnNode(['--expose-gc', program, String(peers), String(names)])
    const [, address] = (await child.line(/^address (.*)$/)) as unknown as [string, string]
    return new Listener(child, address)
  }

  /** Errors that it has told of. */
  get errors(): readonly string[] {
    return this.#child.lines.filter((line) => line.startsWith('error '))
  }

  /** What it holds after a collection, and the most that it held since it was last asked, with garbage; in bytes. */
  memory(): Promise<{ readonly heap: number; readonly rss: number; readonly peak: number }> {
    return this.#ask('memory')
  }

  /** What it holds itself, in bytes (`heldHere`). */
  held(): Promise<number> {
    return this.#ask('held')
  }

  /** What it has consumed, how many messages were not the next one, or no honest peer's at all, and of how many peers. */
  count(): Promise<{
    readonly consumed: number
    readonly wrong: number
    readonly forged: number
    readonly peers: number
  }> {
    return this.#ask('count')
  }

  /** The number of the last message of this peer that it has consumed, once the peer is gone. */
  lastOf(peerId: PeerId): Promise<number> {
    return this.#ask(`of ${peerId}`)
  }

  /** Sends a peer as many messages of 100 kB as it may at once. */
  flood(peerId: PeerId): Promise<{ readonly sent: number; readonly bytes: number }> {
    return this.#ask(`flood ${peerId}`)
  }

  /** Its event loop stands still so long, in milliseconds. */
  block(duration: number): Promise<null> {
    return this.#ask(`block ${duration}`)
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /**
   * A node that nobody has seen before connects and sends a message that is consumed; how many milliseconds that took,
   * or `undefined` when it failed or took more than `patience`. From another IPv4 address than 127.0.0.1 it goes through
   * a proxy.
   */
  async honestDial(patience: number, from?: string): Promise<number | undefined> {
    await using proxy = from === undefined ? undefined : await FaultProxy.to(this.address, from)
    const node = new Node({ identity: Identity.generate(), streams: ['x'], reconnect: false })
    await node.start()
    try {
      const signal = AbortSignal.timeout(patience)
      const begun = performance.now()
      const peer = await node.connect(proxy?.address ?? this.address, { signal })
      await node.send(peer, 'x', 'hello', { confirm: true, signal })
      return performance.now() - begun
    } catch {
      return undefined
    } finally {
      await node.stop()
    }
  }

  /** One question at a time. */
  async #ask<T>(question: string): Promise<T> {
    const [word] = question.split(' ')
    const { lines } = this.#child
    lines.splice(0, lines.length, ...this.errors)
    this.#child.write(`${question}\n`)
    const [, answer] = (await this.#child.line(new RegExp(`^${word} (.*)$`))) as unknown as [string, string]
    return JSON.parse(answer) as T
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGCONT')
    this.#child.process.stdin.end()
    await this.#child.ended
  }
}
