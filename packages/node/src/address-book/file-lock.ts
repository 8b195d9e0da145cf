import { readFileSync, readlinkSync } from 'node:fs'
import { link, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import type { Clock } from '../clock.ts'

/** A lock file that nobody has written into is of a program that died between two calls, after so many milliseconds. */
const UNWRITTEN = 10_000

/** What a lock file says of its holder. */
interface Holder {
  readonly pid: number
  readonly host: string
  /** Of this start of the machine, where the system tells it. */
  readonly boot: string
  /** In which process numbers mean something: each container has its own. */
  readonly numbers: string
  /** When the process began: another one may get its number later. */
  readonly began: string
  /** Of this lock alone. */
  readonly nonce: string
}

/** One writer for a file: a file beside it names the process. A process that is gone holds it no longer. */
export class FileLock {
  readonly #path: string
  readonly #nonce: string
  readonly #own: string
  readonly #clock: Clock

  constructor(path: string, clock: Clock) {
    this.#path = path
    this.#clock = clock
    this.#nonce = Buffer.from(clock.randomBytes(8)).toString('hex')
    const holder: Holder = { ...thisProcess(), nonce: this.#nonce }
    this.#own = JSON.stringify(holder)
  }

  /** Resolves to undefined, or to a description of the holder. Rejects when the lock file cannot be written. */
  async acquire(): Promise<string | undefined> {
    for (;;) {
      try {
        const file = await open(this.#path, 'wx', 0o600)
        try {
          await file.writeFile(this.#own)
        } finally {
          await file.close()
        }
        if (await this.held()) return undefined
        continue // somebody has taken the file for forgotten before we wrote into it
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      }
      const text = await readFile(this.#path, 'utf8').catch(missing)
      if (text === undefined) continue // released just now
      const holder = parse(text)
      if (holder === undefined ? !(await this.#wasForgotten()) : isAlive(holder)) {
        return holder === undefined ? 'another program' : `process ${holder.pid} on ${holder.host}`
      }
      await this.#remove(text)
    }
  }

  /** Whether it is still ours: somebody may have taken this process for dead. */
  async held(): Promise<boolean> {
    return (await readFile(this.#path, 'utf8').catch(missing)) === this.#own
  }

  async release(): Promise<void> {
    if (await this.held().catch(() => false)) await rm(this.#path, { force: true }).catch(() => {})
  }

  /** Removes the lock of a dead process; when another one was quicker, that one's is put back. */
  async #remove(dead: string): Promise<void> {
    const aside = `${this.#path}.${this.#nonce}`
    try {
      await rename(this.#path, aside)
      if ((await readFile(aside, 'utf8')) !== dead) await link(aside, this.#path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') missing(error)
    } finally {
      await rm(aside, { force: true })
    }
  }

  async #wasForgotten(): Promise<boolean> {
    const found = await stat(this.#path).catch(missing)
    return found !== undefined && this.#clock.now() - found.mtimeMs > UNWRITTEN
  }
}

function missing(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
}

function thisProcess(): Omit<Holder, 'nonce'> {
  return {
    pid: process.pid,
    host: hostname(),
    boot: bootId(),
    numbers: numberSpace(),
    began: beginningOf(process.pid) ?? '',
  }
}

function parse(text: string): Omit<Holder, 'nonce'> | undefined {
  try {
    const { pid, host, boot, numbers, began } = JSON.parse(text) as Partial<Holder>
    if (!Number.isInteger(pid)) return undefined
    return { pid: pid as number, host: `${host}`, boot: `${boot}`, numbers: `${numbers}`, began: `${began}` }
  } catch {
    return undefined
  }
}

function isAlive({ pid, host, boot, numbers, began }: Omit<Holder, 'nonce'>): boolean {
  const own = thisProcess()
  // Another machine, or another container on this one, as far as can be seen: only a person knows.
  if (host !== own.host && (boot !== own.boot || boot === '')) return true
  if (boot !== own.boot) return false // the machine has been started anew
  if (numbers !== own.numbers) return true
  const now = beginningOf(pid)
  if (now !== undefined) return began === '' || now === began
  if (began !== '') return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Identifies this start of the machine, on Linux. */
function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  } catch {
    return ''
  }
}

/** Which processes this one sees, on Linux. */
function numberSpace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid')
  } catch {
    return ''
  }
}

/** When a process began, in the system's own ticks, on Linux; `undefined` when there is none. */
function beginningOf(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] // field 22, proc(5)
  } catch {
    return undefined
  }
}
