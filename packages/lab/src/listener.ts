import { fileURLToPath } from 'node:url'
import { Identity, Node } from '@glueberry/node'
import { type Child, spawnNode } from '@glueberry/testkit'

const program = fileURLToPath(new URL('children/listener.ts', import.meta.url))

/** A node in a process of its own that is to stay well. */
export class Listener implements AsyncDisposable {
  readonly #child: Child
  readonly address: string
  readonly port: number

  private constructor(child: Child, address: string) {
    this.#child = child
    this.address = address
    this.port = Number(/tcp\/(\d+)/.exec(address)?.[1])
  }

  static async start(): Promise<Listener> {
    const child = spawnNode(['--expose-gc', program])
    const [, address] = (await child.line(/^address (.*)$/)) as unknown as [string, string]
    return new Listener(child, address)
  }

  /** Errors that it has told of. */
  get errors(): readonly string[] {
    return this.#child.lines.filter((line) => line.startsWith('error '))
  }

  /** Bytes that it holds after a collection. */
  async memory(): Promise<number> {
    this.#child.lines.splice(0, this.#child.lines.length, ...this.errors)
    this.#child.write('memory\n')
    const [, bytes] = (await this.#child.line(/^memory (\d+)$/)) as unknown as [string, string]
    return Number(bytes)
  }

  /** A node that nobody has seen before connects and sends a message that is consumed; milliseconds, or that it failed. */
  async honestDial(patience: number): Promise<number | undefined> {
    const node = new Node({ identity: Identity.generate(), streams: ['x'], reconnect: false })
    await node.start()
    try {
      const signal = AbortSignal.timeout(patience)
      const begun = performance.now()
      const peer = await node.connect(this.address, { signal })
      await node.send(peer, 'x', 'hello', { confirm: true, signal })
      return performance.now() - begun
    } catch {
      return undefined
    } finally {
      await node.stop()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.process.stdin.end()
    await this.#child.ended
  }
}
