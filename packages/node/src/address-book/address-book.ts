import { parseAddressesOf } from '../address.ts'
import { withSignal } from '../async.ts'
import { type Clock, deadline } from '../clock.ts'
import type { Block } from '../connection/blocklist.ts'
import { GlueberryError } from '../errors.ts'
import type { Logger } from '../observe/logger.ts'
import { type PeerId, parsePeerId } from '../peer-id.ts'
import type { OpenableStore } from './store.ts'

/** What the book keeps of a peer. */
export interface BookEntry {
  readonly addresses: readonly string[]
  readonly metadata: Readonly<Record<string, string>>
  /** Whether it is kept connected. */
  readonly connect: boolean
  /** When a session with it was last established, in milliseconds since 1970. */
  readonly lastSeen?: number
}

export interface AddressBookOptions {
  /** `undefined`: the book is in memory only. */
  readonly store: OpenableStore | undefined
  readonly clock: Clock
  readonly logger: Logger
  /** Something went wrong that no call can be told of. */
  report(error: GlueberryError): void
}

type Raw = Record<string, unknown>
type Change = () => void

const VERSION = 1
/** How long the last write of a store may take when the node stops, in milliseconds. */
const CLOSE_TIMEOUT = 5000

/**
 * The peers that outlive the program, and the blocked ones. It holds the document as it was read, so that fields and
 * entries that it does not know are written back as they were.
 */
export class AddressBook {
  readonly #options: AddressBookOptions
  #document: Raw = emptyDocument()
  readonly #entries = new Map<PeerId, BookEntry>()
  /** Changes that are not written yet, also from before it was opened: a later `open` makes them again on what the store has. */
  #unsaved: Change[] = []
  #opening: Promise<ReadonlyMap<PeerId, Block>> | undefined
  #open = false
  #closing: Promise<void> | undefined // until the next `open`
  #writing: Promise<void> | undefined
  /** The write after that, which takes every change until it begins. */
  #queued: Promise<void> | undefined

  constructor(options: AddressBookOptions) {
    this.#options = options
  }

  get entries(): ReadonlyMap<PeerId, BookEntry> {
    return this.#entries
  }

  /**
   * Reads what is kept, and makes the changes on it that were made before. Returns who is blocked. Rejects with
   * `ADDRESS_BOOK` when it cannot be read, or must not be written.
   */
  async open(): Promise<ReadonlyMap<PeerId, Block>> {
    const { store } = this.#options
    if (store === undefined) return new Map()
    this.#closing = undefined
    this.#opening = this.#load(store)
    return this.#opening
  }

  /** Adds a peer, or addresses to those that it has; metadata, if given, takes the place of what was there. Resolves when it is written; before `open`, at once. */
  add(
    peerId: PeerId,
    addresses: readonly string[],
    metadata: Readonly<Record<string, string>> | undefined,
    connect: boolean,
  ): Promise<void> {
    return this.#change(() => {
      const before = this.#entries.get(peerId)
      this.#put(peerId, {
        ...before,
        addresses: [...new Set([...(before?.addresses ?? []), ...addresses])],
        metadata: metadata ?? before?.metadata ?? {},
        connect,
      })
    })
  }

  /** A session with a peer of the book was established. */
  seen(peerId: PeerId, addresses: readonly string[], lastSeen: number): Promise<void> {
    return this.#change(() => {
      const before = this.#entries.get(peerId)
      if (before !== undefined) this.#put(peerId, { ...before, addresses, lastSeen })
    })
  }

  remove(peerId: PeerId): Promise<void> {
    return this.#change(() => {
      this.#entries.delete(peerId)
      delete peersOf(this.#document)[peerId]
    })
  }

  /** Keeps that the peer is blocked; `undefined`: that it is not. */
  block(peerId: PeerId, block: Block | undefined): Promise<void> {
    return this.#change(() => {
      const blocked = blockedOf(this.#document)
      if (block === undefined) delete blocked[peerId]
      else blocked[peerId] = { ...block }
    })
  }

  /** Resolves when the last change is written, or could not be within a while. A later `open` reads anew. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const { store, clock, report } = this.#options
    if (store === undefined) return
    const limit = deadline(
      clock,
      CLOSE_TIMEOUT,
      () => new GlueberryError('ADDRESS_BOOK', `the address book's store did not answer within ${CLOSE_TIMEOUT} ms`),
    )
    await withSignal(this.#finish(store), limit.signal).catch(report)
    limit.cancel()
  }

  async #finish(store: OpenableStore): Promise<void> {
    await this.#opening?.catch(() => {}) // its caller is told
    const wasOpen = this.#open
    this.#open = false
    await this.#queued?.catch(() => {})
    await this.#writing?.catch(() => {})
    if (wasOpen && this.#unsaved.length > 0) await this.#write(store).catch(() => {}) // reported; the disk may have room again
    await store.close()
  }

  async #load(store: OpenableStore): Promise<ReadonlyMap<PeerId, Block>> {
    this.#document = await this.#read(store)
    this.#entries.clear()
    const unread: string[] = []
    for (const [peerId, raw] of known(peersOf(this.#document), unread))
      this.#entries.set(peerId, parse(peerId, raw, unread))
    this.#open = true
    for (const change of this.#unsaved) change()
    if (this.#unsaved.length > 0) this.#save(store).catch(() => {}) // reported
    const blocks = new Map<PeerId, Block>()
    for (const [peerId, { until, reason }] of known(blockedOf(this.#document), unread)) {
      blocks.set(peerId, {
        ...(typeof until === 'number' ? { until } : {}),
        ...(typeof reason === 'string' ? { reason } : {}),
      })
    }
    if (unread.length > 0) {
      const text = `the address book has what cannot be read, and is left as it is: ${unread.join('; ')}`
      this.#options.logger.warn(text)
      this.#options.report(new GlueberryError('ADDRESS_BOOK', text))
    }
    return blocks
  }

  async #read(store: OpenableStore): Promise<Raw> {
    let loaded: unknown
    try {
      loaded = structuredClone(await store.load())
    } catch (cause) {
      throw bookError(cause, 'could not be loaded')
    }
    if (loaded === undefined || loaded === null) return emptyDocument()
    const problem = problemOf(loaded)
    if (problem === undefined) return loaded as Raw
    if (isRecord(loaded) && Number.isInteger(loaded['version']) && (loaded['version'] as number) > VERSION) {
      throw new GlueberryError('ADDRESS_BOOK', `the address book is of version ${loaded['version']}, not ${VERSION}`, {
        hint: 'it was written by a newer version of this library',
      })
    }
    const aside = await store.setAside()
    const error = new GlueberryError(
      'ADDRESS_BOOK',
      `the address book is corrupt: ${problem}. It is kept as ${aside}`,
      {
        hint: 'the node begins with an empty book; repair the old one and put it back while no node runs',
      },
    )
    this.#options.logger.warn(error.message, { hint: error.hint })
    this.#options.report(error)
    return emptyDocument()
  }

  #put(peerId: PeerId, entry: BookEntry): void {
    this.#entries.set(peerId, Object.freeze({ ...entry, metadata: Object.freeze({ ...entry.metadata }) }))
    const peers = peersOf(this.#document)
    const before = isRecord(peers[peerId]) ? peers[peerId] : {}
    const given = Array.isArray(before['addresses']) ? before['addresses'] : []
    const unreadable = given.filter((address) => !isAddressOf(peerId, address))
    peers[peerId] = { ...before, ...entry, addresses: [...entry.addresses, ...unreadable] }
  }

  #change(change: Change): Promise<void> {
    change()
    const { store } = this.#options
    if (store === undefined) return Promise.resolve()
    this.#unsaved.push(change)
    return this.#open ? this.#save(store) : Promise.resolve()
  }

  #save(store: OpenableStore): Promise<void> {
    this.#queued ??= this.#writeNext(store)
    this.#queued.catch(() => {}) // reported; who waits for it is told
    return this.#queued
  }

  async #writeNext(store: OpenableStore): Promise<void> {
    await this.#writing?.catch(() => {})
    this.#queued = undefined
    this.#writing = this.#write(store)
    await this.#writing
  }

  async #write(store: OpenableStore): Promise<void> {
    const saving = this.#unsaved.splice(0)
    try {
      await store.save(structuredClone(this.#document))
    } catch (cause) {
      this.#unsaved.unshift(...saving)
      const error = bookError(cause, 'could not be saved')
      this.#options.report(error)
      throw error
    }
  }
}

function emptyDocument(): Raw {
  return { version: VERSION, peers: {}, blocked: {} }
}

function bookError(cause: unknown, what: string): GlueberryError {
  if (GlueberryError.is(cause)) return cause
  const why = cause instanceof Error ? cause.message : String(cause)
  return new GlueberryError('ADDRESS_BOOK', `the address book ${what}: ${why}`, { cause })
}

function problemOf(loaded: unknown): string | undefined {
  if (typeof loaded === 'string') return 'it is no JSON'
  if (!isRecord(loaded)) return 'it is no object'
  if (loaded['version'] !== VERSION) return `its version is ${String(loaded['version'])}, not ${VERSION}`
  if (!isRecord(loaded['peers'])) return 'its peers are no object'
  if (loaded['blocked'] !== undefined && !isRecord(loaded['blocked'])) return 'its blocked are no object'
  return undefined
}

function peersOf(document: Raw): Raw {
  return document['peers'] as Raw
}

function blockedOf(document: Raw): Raw {
  document['blocked'] ??= {}
  return document['blocked'] as Raw
}

/** Those whose keys are peers and whose values are objects; the others are kept as they are, like every field that is not known. */
function* known(raw: Raw, unread: string[]): Generator<[PeerId, Raw]> {
  for (const [key, value] of Object.entries(raw)) {
    try {
      const peerId = parsePeerId(key)
      if (isRecord(value)) yield [peerId, value]
      else unread.push(`the entry of ${key}`)
    } catch {
      unread.push(`the peer id ${JSON.stringify(key)}`)
    }
  }
}

/** What is wrong with one part of an entry harms no other. */
function parse(peerId: PeerId, { addresses, metadata, connect, lastSeen }: Raw, unread: string[]): BookEntry {
  const given = Array.isArray(addresses) ? addresses : []
  const good = given.filter((address) => isAddressOf(peerId, address))
  for (const address of given) {
    if (!good.includes(address)) unread.push(`the address ${JSON.stringify(address)} of ${peerId}`)
  }
  const texts = Object.entries(isRecord(metadata) ? metadata : {}).filter(([, text]) => typeof text === 'string')
  return Object.freeze({
    addresses: parseAddressesOf(peerId, good),
    metadata: Object.freeze(Object.fromEntries(texts) as Record<string, string>),
    connect: connect !== false,
    ...(typeof lastSeen === 'number' ? { lastSeen } : {}),
  })
}

function isAddressOf(peerId: PeerId, address: unknown): address is string {
  try {
    parseAddressesOf(peerId, [address as string])
    return true
  } catch {
    return false
  }
}

function isRecord(value: unknown): value is Raw {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
