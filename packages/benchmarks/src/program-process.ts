import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { Missing } from './contender.ts'
import type { Call, OrdersOf, Reply } from './obey.ts'
import type { Orders } from './orders.ts'

/** Nothing that is ordered takes so long, in milliseconds: what does has lost a message. */
const PATIENCE = 120_000

/** One of the programs of a run, as the benchmark sees it. */
export class ProgramProcess<O extends OrdersOf<O>> implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #patience: number
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
  #id = 0
  #log = ''

  /**
   * @param program its file, beside this one
   * @param patience the longest that an order may take, in milliseconds
   */
  constructor(program: string, patience: number, execArgv: readonly string[] = []) {
    this.#patience = patience
    this.#child = fork(fileURLToPath(new URL(program, import.meta.url)), {
      execArgv: ['--conditions=@glueberry/source', '--expose-gc', ...execArgv],
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
  async tell<K extends keyof O & string>(
    order: K,
    ...[argument]: Parameters<O[K]>
  ): Promise<Awaited<ReturnType<O[K]>>> {
    const id = ++this.#id
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    this.#waiting.set(id, { resolve, reject })
    const timer = setTimeout(() => reject(new Error(`${order} took more than ${this.#patience} ms`)), this.#patience)
    this.#child.send({ id, order, argument } satisfies Call)
    try {
      return (await promise) as Awaited<ReturnType<O[K]>>
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

/** A program of a contender. */
export class PlayerProcess extends ProgramProcess<Orders> {
  /** @param profile name of a CPU profile to write, in the present directory */
  constructor(profile?: string) {
    const profiling = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-name=${profile}.cpuprofile`]
    super('player.ts', PATIENCE, profiling)
  }
}
