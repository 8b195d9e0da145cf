import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'

/** A real process: its lines as they come, its end, and an end for it. */
export class Child implements AsyncDisposable {
  readonly process: ChildProcessByStdio<Writable, Readable, Readable>
  readonly lines: string[] = []
  readonly errorLines: string[] = []
  /** Exit code, or the signal that killed it. */
  readonly ended: Promise<number | NodeJS.Signals>
  readonly #watchers = new Set<() => void>()

  constructor(process: ChildProcessByStdio<Writable, Readable, Readable>) {
    this.process = process
    createInterface({ input: process.stdout }).on('line', (line) => this.#add(this.lines, line))
    createInterface({ input: process.stderr }).on('line', (line) => this.#add(this.errorLines, line))
    process.stdin.on('error', () => {}) // written after it ended: its exit is what the test looks at
    this.ended = new Promise((resolve) => {
      process.on('close', (code, signal) => {
        resolve(code ?? (signal as NodeJS.Signals))
        for (const watch of this.#watchers) watch()
      })
    })
  }

  /** The first line of output, standard or error, that the pattern fits; rejects when the process ends before. */
  async line(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      for (const line of [...this.lines, ...this.errorLines]) {
        const match = pattern.exec(line)
        if (match !== null) return match
      }
      if (this.process.exitCode !== null || this.process.signalCode !== null) {
        await this.ended
        throw new Error(`the process ended before ${pattern}:\n${[...this.lines, ...this.errorLines].join('\n')}`)
      }
      await new Promise<void>((resolve) => {
        const watch = (): void => {
          this.#watchers.delete(watch)
          resolve()
        }
        this.#watchers.add(watch)
      })
    }
  }

  write(text: string): void {
    this.process.stdin.write(text)
  }

  kill(signal: NodeJS.Signals): void {
    this.process.kill(signal)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.process.exitCode === null && this.process.signalCode === null) this.process.kill('SIGKILL')
    await this.ended
  }

  #add(lines: string[], line: string): void {
    lines.push(line)
    for (const watch of this.#watchers) watch()
  }
}

/** Runs a file on the Node that runs the tests, reading the workspace's sources. */
export function spawnNode(
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv } = {},
): Child {
  return new Child(
    spawn(process.execPath, ['--conditions=@glueberry/source', ...args], {
      stdio: ['pipe', 'pipe', 'pipe'],
      ...options,
    }),
  )
}
