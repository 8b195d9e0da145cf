import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { Missing } from './contender.ts'
import type { Orders, Reply } from './orders.ts'

/** Nothing that is ordered takes so long, in milliseconds: what does has lost a message. */
const PATIENCE = 120_000

/** One of the programs of a run, as the benchmark sees it. */
export class PlayerProcess implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
  #id = 0
  #log = ''

  /** @param profile name of a CPU profile to write, in the present directory */
  constructor(profile?: string) {
    const profiling = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-name=${profile}.cpuprofile`]
    this.#child = fork(fileURLToPath(new URL('player.ts', import.meta.url)), {
      execArgv: ['--conditions=@glueberry/source', '--expose-gc', ...profiling],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    this.#child.stderr?.on('data', (text) => {
      this.#log += text
    })
    this.#child.on('message', (reply: Reply) => {
      const waiting = this.#waiting.get(reply.id)
      this.#waiting.delete(reply.id)
      if (!('error' in reply)) waiting?.resolve(reply.result)
      else waiting?.reject(reply.missing ? new Missing(reply.error) : new Error(reply.error))
    })
    this.#child.on('exit', (code, signal) => {
      for (const { reject } of this.#waiting.values()) {
        reject(new Error(`the program ended with ${code ?? signal}: ${this.#log}`))
      }
      this.#waiting.clear()
    })
  }

  /** Has it done. */
  async tell<K extends keyof Orders>(
    order: K,
    ...[argument]: Parameters<Orders[K]>
  ): Promise<Awaited<ReturnType<Orders[K]>>> {
    const id = ++this.#id
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    this.#waiting.set(id, { resolve, reject })
    const timer = setTimeout(() => reject(new Error(`${order} took more than ${PATIENCE} ms`)), PATIENCE)
    this.#child.send({ id, order, argument })
    try {
      return (await promise) as Awaited<ReturnType<Orders[K]>>
    } finally {
      clearTimeout(timer)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const exit = new Promise((resolve) => this.#child.once('exit', resolve))
    if (this.#child.connected) this.#child.disconnect() // ends it, and what it has started
    await exit
  }
}
