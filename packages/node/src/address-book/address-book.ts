import { parseAddressesOf } from '../address.ts'
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
  readonly logger: Logger
  /** Something went wrong that no call can be told of. */
  report(error: GlueberryError): void
}

type Raw = Record<string, unknown>

const VERSION = 1

/**
 * The peers that outlive the program, and the blocked ones. It holds the document as it was read, so that fields and
 * entries that it does not know are written back as they were.
 */
export class AddressBook {
  readonly #options: AddressBookOptions
  #document: Raw = { version: VERSION, peers: {}, blocked: {} }
  readonly #entries = new Map<PeerId, BookEntry>()
  #state: 'new' | 'open' | 'closed' = 'new'
  #unsaved = false // something has changed since the last write began, or that write failed
  #writing: Promise<void> | undefined
  /** The write after that, which takes every change until it begins. */
  #next: Promise<void> | undefined

  constructor(options: AddressBookOptions) {
    this.#options = options
  }

  get(peerId: PeerId): BookEntry | undefined {
    return this.#entries.get(peerId)
  }

  /**
   * Reads what is kept: peers that were put here before win over what the store has of them. Returns who is blocked.
   * Rejects with `ADDRESS_BOOK` when it cannot be read, or must not be written.
   */
  async open(): Promise<ReadonlyMap<PeerId, Block>> {
    const { store } = this.#options
    if (store === undefined || this.#state === 'open') return new Map()
    const early = [...this.#entries]
    const loaded = await this.#load(store)
    this.#document = loaded
    for (const [peerId, raw] of known(peersOf(loaded))) {
      const entry = this.#read(peerId, raw)
      if (entry !== undefined && !this.#entries.has(peerId)) this.#entries.set(peerId, entry)
    }
    const blocks = new Map<PeerId, Block>()
    for (const [peerId, raw] of known(blockedOf(loaded))) {
      const { until, reason } = raw
      blocks.set(peerId, {
        ...(typeof until === 'number' ? { until } : {}),
        ...(typeof reason === 'string' ? { reason } : {}),
      })
    }
    this.#state = 'open'
    for (const [peerId, entry] of early) this.put(peerId, entry).catch(() => {}) // reported
    return blocks
  }

  get entries(): ReadonlyMap<PeerId, BookEntry> {
    return this.#entries
  }

  /** Resolves when it is written; before `open`, at once. */
  put(peerId: PeerId, entry: BookEntry): Promise<void> {
    this.#entries.set(peerId, entry)
    const peers = peersOf(this.#document)
    peers[peerId] = { ...(isRecord(peers[peerId]) ? peers[peerId] : {}), ...entry }
    return this.#save()
  }

  remove(peerId: PeerId): Promise<void> {
    this.#entries.delete(peerId)
    return delete peersOf(this.#document)[peerId] ? this.#save() : Promise.resolve()
  }

  /** Keeps that the peer is blocked; `undefined`: that it is not. */
  block(peerId: PeerId, block: Block | undefined): Promise<void> {
    const blocked = blockedOf(this.#document)
    if (block === undefined && blocked[peerId] === undefined) return Promise.resolve()
    if (block === undefined) delete blocked[peerId]
    else blocked[peerId] = { ...block }
    return this.#save()
  }

  /** Resolves when the last change is written, or could not be. A later `open` reads anew. */
  async close(): Promise<void> {
    const { store } = this.#options
    if (store === undefined || this.#state === 'closed') return
    const wasOpen = this.#state === 'open'
    this.#state = 'closed'
    await this.#next?.catch(() => {})
    await this.#writing?.catch(() => {})
    if (wasOpen && this.#unsaved) await this.#write(store).catch(() => {}) // reported; the disk may have room again
    await store.close()
  }

  async #load(store: OpenableStore): Promise<Raw> {
    let loaded: unknown
    try {
      loaded = structuredClone(await store.load())
    } catch (cause) {
      if (GlueberryError.is(cause)) throw cause
      const why = cause instanceof Error ? cause.message : String(cause)
      throw new GlueberryError('ADDRESS_BOOK', `the address book could not be loaded: ${why}`, { cause })
    }
    if (loaded === undefined || loaded === null) return { version: VERSION, peers: {}, blocked: {} }
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
    return { version: VERSION, peers: {}, blocked: {} }
  }

  /** What is wrong with one entry harms no other: it is left as it is. */
  #read(peerId: PeerId, { addresses, metadata, connect, lastSeen }: Raw): BookEntry | undefined {
    try {
      return {
        addresses: parseAddressesOf(peerId, (addresses ?? []) as string[]),
        metadata: Object.freeze(
          Object.fromEntries(
            Object.entries(isRecord(metadata) ? metadata : {}).filter(([, text]) => typeof text === 'string'),
          ),
        ) as Record<string, string>,
        connect: connect !== false,
        ...(typeof lastSeen === 'number' ? { lastSeen } : {}),
      }
    } catch (error) {
      this.#options.logger.warn('a peer of the address book cannot be read, and is left as it is', { peerId, error })
      return undefined
    }
  }

  #save(): Promise<void> {
    const { store } = this.#options
    if (store === undefined || this.#state !== 'open') return Promise.resolve()
    this.#unsaved = true
    this.#next ??= this.#saveNext(store)
    this.#next.catch(() => {}) // reported; who waits for it is told
    return this.#next
  }

  async #saveNext(store: OpenableStore): Promise<void> {
    await this.#writing?.catch(() => {})
    this.#next = undefined
    this.#writing = this.#write(store)
    await this.#writing
  }

  async #write(store: OpenableStore): Promise<void> {
    this.#unsaved = false
    try {
      await store.save(structuredClone(this.#document))
    } catch (cause) {
      this.#unsaved = true
      const why = cause instanceof Error ? cause.message : String(cause)
      const error = GlueberryError.is(cause)
        ? cause
        : new GlueberryError('ADDRESS_BOOK', `the address book could not be saved: ${why}`, { cause })
      this.#options.report(error)
      throw error
    }
  }
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

/** Those whose keys are peers and whose values are objects. */
function* known(raw: Raw): Generator<[PeerId, Raw]> {
  for (const [key, value] of Object.entries(raw)) {
    if (!isRecord(value)) continue
    try {
      yield [parsePeerId(key), value]
    } catch {
      // Kept as it is, like every field that is not known.
    }
  }
}

function isRecord(value: unknown): value is Raw {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
