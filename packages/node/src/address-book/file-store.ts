import { open, readFile, readlink, realpath, rename, rm, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import type { Clock } from '../clock.ts'
import { GlueberryError, textOf } from '../errors.ts'
import { FileLock } from './file-lock.ts'
import type { OpenableStore } from './store.ts'

/** An address book in a JSON file: one writer, and a file that is always whole, whenever the power goes. */
export class FileStore implements OpenableStore {
  #path: string
  readonly #clock: Clock
  readonly #report: (error: GlueberryError) => void
  #lock: FileLock | undefined

  /** @param report is told what `load` cannot reject with, because the node can live with it */
  constructor(path: string, clock: Clock, report: (error: GlueberryError) => void) {
    this.#path = resolve(path)
    this.#clock = clock
    this.#report = report
  }

  async load(): Promise<unknown> {
    this.#path = await followed(this.#path) // a link stays a link
    await this.#acquire()
    let text: string
    try {
      const found = await stat(this.#path)
      if (!found.isFile()) throw new Error('it is no regular file') // reading a pipe would never end
      text = (await readFile(this.#path, 'utf8')).replace(/^\ufeff/, '') // some editors write a byte order mark
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw this.#error('cannot be read', cause)
    }
    if (text.trim() === '') return undefined // made, and never written
    try {
      return JSON.parse(text)
    } catch {
      return text // no JSON: the book says so, and sets it aside
    }
  }

  async save(book: unknown): Promise<void> {
    const temporary = `${this.#path}.tmp`
    try {
      const lock = this.#lock
      if (lock === undefined) throw new Error('its lock file could not be written')
      if (!(await lock.held())) throw new Error('another program has taken its lock')
      const found = await stat(this.#path).catch(() => undefined)
      // A rename would replace the file although it was made read-only.
      if (found !== undefined && (found.mode & 0o222) === 0) throw new Error('the file is read-only')
      const file = await open(temporary, 'w', found === undefined ? 0o600 : found.mode & 0o777)
      try {
        await file.writeFile(`${JSON.stringify(book, undefined, 2)}\n`)
        await file.sync()
      } finally {
        await file.close()
      }
      await rename(temporary, this.#path)
      await syncDirectory(dirname(this.#path))
    } catch (cause) {
      await rm(temporary, { force: true }).catch(() => {})
      throw this.#error('cannot be written', cause)
    }
  }

  async setAside(): Promise<string> {
    const aside = `${this.#path}.corrupt-${this.#clock.now()}`
    try {
      if ((await stat(aside).catch(() => undefined)) !== undefined) throw new Error(`${aside} exists`)
      await rename(this.#path, aside)
    } catch (cause) {
      throw this.#error('cannot be set aside', cause)
    }
    return aside
  }

  async close(): Promise<void> {
    await this.#lock?.release()
    this.#lock = undefined
  }

  async #acquire(): Promise<void> {
    const path = `${this.#path}.lock`
    const lock = new FileLock(path, this.#clock)
    let holder: string | undefined
    try {
      holder = await lock.acquire()
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') throw this.#error('has no folder (make it first)', cause)
      // A full disk, or a read-only one: what is there can still be read.
      return this.#report(this.#error('will not be written, because it cannot be locked', cause))
    }
    if (holder !== undefined) {
      const text = `the address book ${this.#path} is in use by ${holder}`
      const hint = `give each node a book of its own; if nothing uses this one, delete ${path}`
      throw new GlueberryError('ADDRESS_BOOK', text, { hint })
    }
    this.#lock = lock
  }

  #error(what: string, cause: unknown): GlueberryError {
    return new GlueberryError('ADDRESS_BOOK', `the address book ${this.#path} ${what}: ${textOf(cause)}`, { cause })
  }
}

/** The file that a path leads to, there or not yet. */
async function followed(path: string): Promise<string> {
  const file = await realpath(path).catch(() => undefined)
  if (file !== undefined) return file
  const target = await readlink(path).catch(() => undefined)
  return target === undefined ? path : resolve(dirname(path), target)
}

/** So that the rename itself outlives a power cut. Not every system can. */
async function syncDirectory(path: string): Promise<void> {
  const folder = await open(path, 'r').catch(() => undefined)
  await folder?.sync().catch(() => {})
  await folder?.close()
}
