import { ADDRESSES_MAX, parseAddressesOf } from '../address.ts'
import { withSignal } from '../async.ts'
import { type Cancellable, type Clock, deadline } from '../clock.ts'
import { GlueberryError, textOf } from '../errors.ts'
import { isObject } from '../options/check.ts'
import type { PeerId } from '../peer-id.ts'
import { parsePeerId } from '../peer-ref.ts'
import type { PeerBlock } from '../peers/blocklist.ts'
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
  /** Something went wrong that no call can be told of. */
  report(error: GlueberryError): void
}

type Raw = Record<string, unknown>

/** What has become of a peer since the book was last written; made again on what a later `open` reads. */
interface Patch {
  /** It was removed, before anything else in here. */
  readonly removed?: true
  /** Addresses that were added. */
  readonly added?: readonly string[]
  readonly metadata?: Readonly<Record<string, string>>
  readonly connect?: boolean
  /** Its addresses, as of the last session with it, and when that was. */
  readonly seen?: { readonly addresses: readonly string[]; readonly at: number }
  /** Addresses that were removed. */
  readonly dropped?: readonly string[]
  /** A block, or `undefined` in it: no longer. */
  readonly blocked?: { readonly block: PeerBlock | undefined }
}

const VERSION = 1
/** When a session was established is written with the next change, or after so long, in milliseconds. */
const SEEN_DELAY = 60_000
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
  /** What is not written yet, also from before it was opened: a later `open` makes it again on what the store has. */
  #unsaved = new Map<PeerId, Patch>()
  #seenTimer: Cancellable | undefined // until what is not urgent is written
  #opening: Promise<ReadonlyMap<PeerId, PeerBlock>> | undefined
  #open = false
  #closing: Promise<void> | undefined // until the next `open`
  #writing: Promise<void> | undefined
  /** The write after that, which takes every change until it begins. */
  #queued: Promise<void> | undefined

  constructor(options: AddressBookOptions) {
    this.#options = options
  }

  /** How many peers have changes that are not written. */
  get unsaved(): number {
    return this.#unsaved.size
  }

  get entries(): ReadonlyMap<PeerId, BookEntry> {
    return this.#entries
  }

  /**
   * Reads what is kept, and makes the changes on it that were made before. Returns the blocked peers. Rejects with
   * `ADDRESS_BOOK` when it cannot be read, or must not be written.
   */
  async open(): Promise<ReadonlyMap<PeerId, PeerBlock>> {
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
    return this.#change(peerId, { added: addresses, connect, ...(metadata === undefined ? {} : { metadata }) })
  }

  /** A session with a peer of the book was established. That alone is not urgent: it is written within a minute. */
  seen(peerId: PeerId, addresses: readonly string[], at: number): Promise<void> {
    const before = this.#entries.get(peerId)
    if (before === undefined) return Promise.resolve()
    const moved = addresses.join(' ') !== before.addresses.join(' ')
    return this.#change(peerId, { seen: { addresses, at } }, moved)
  }

  /** Forgets addresses of a peer. */
  removeAddresses(peerId: PeerId, addresses: readonly string[]): Promise<void> {
    return this.#entries.has(peerId) ? this.#change(peerId, { dropped: addresses }) : Promise.resolve()
  }

  remove(peerId: PeerId): Promise<void> {
    return this.#change(peerId, { removed: true })
  }

  /** Keeps that the peer is blocked; `undefined`: that it is not. */
  block(peerId: PeerId, block: PeerBlock | undefined): Promise<void> {
    return this.#change(peerId, { blocked: { block } })
  }

  /** Resolves when the last change is written, or could not be within a while. A later `open` reads anew. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const { store, clock, report } = this.#options
    this.#seenTimer?.cancel()
    this.#seenTimer = undefined
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
    if (wasOpen && this.#unsaved.size > 0) await this.#write(store).catch(() => {}) // reported; the disk may have room again
    await store.close()
  }

  async #load(store: OpenableStore): Promise<ReadonlyMap<PeerId, PeerBlock>> {
    this.#document = await this.#read(store)
    this.#entries.clear()
    const unread: string[] = []
    for (const [peerId, raw] of known(peersOf(this.#document), unread))
      this.#entries.set(peerId, parse(peerId, raw, unread))
    this.#open = true
    for (const [peerId, patch] of this.#unsaved) this.#apply(peerId, patch)
    if (this.#unsaved.size > 0) this.#save(store).catch(() => {}) // reported
    const blocks = new Map<PeerId, PeerBlock>()
    for (const [peerId, { until, reason }] of known(blockedOf(this.#document), unread)) {
      blocks.set(peerId, {
        ...(typeof until === 'number' ? { until } : {}),
        ...(typeof reason === 'string' ? { reason } : {}),
      })
    }
    if (unread.length > 0) {
      const text = `the address book has what cannot be read, and is left as it is: ${unread.join('; ')}`
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
    if (isObject(loaded) && Number.isInteger(loaded['version']) && (loaded['version'] as number) > VERSION) {
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
    this.#options.report(error)
    return emptyDocument()
  }

  #put(peerId: PeerId, entry: BookEntry): void {
    this.#entries.set(peerId, Object.freeze({ ...entry, metadata: Object.freeze({ ...entry.metadata }) }))
    const peers = peersOf(this.#document)
    const before = isObject(peers[peerId]) ? peers[peerId] : {}
    const given = Array.isArray(before['addresses']) ? before['addresses'] : []
    const unreadable = given.filter((address) => !isAddressOf(peerId, address))
    peers[peerId] = { ...before, ...entry, addresses: [...entry.addresses, ...unreadable] }
  }

  #apply(peerId: PeerId, { removed, added, metadata, connect, seen, dropped, blocked }: Patch): void {
    if (removed === true) {
      this.#entries.delete(peerId)
      delete peersOf(this.#document)[peerId]
    }
    const before = this.#entries.get(peerId)
    if (added !== undefined || before !== undefined) {
      const all = seen?.addresses ?? [...new Set([...(before?.addresses ?? []), ...(added ?? [])])]
      const addresses = all.filter((address) => dropped?.includes(address) !== true)
      this.#put(peerId, {
        ...before,
        addresses,
        metadata: metadata ?? before?.metadata ?? {},
        connect: connect ?? before?.connect ?? true,
        ...(seen === undefined ? {} : { lastSeen: seen.at }),
      })
    }
    if (blocked === undefined) return
    if (blocked.block === undefined) delete blockedOf(this.#document)[peerId]
    else blockedOf(this.#document)[peerId] = { ...blocked.block }
  }

  #change(peerId: PeerId, patch: Patch, urgent = true): Promise<void> {
    this.#apply(peerId, patch)
    const { store, clock } = this.#options
    if (store === undefined) return Promise.resolve()
    this.#unsaved.set(peerId, merged(this.#unsaved.get(peerId), patch))
    if (!this.#open) return Promise.resolve()
    if (urgent) return this.#save(store)
    this.#seenTimer ??= clock.setTimer(() => {
      this.#seenTimer = undefined
      this.#save(store).catch(() => {}) // reported
    }, SEEN_DELAY)
    return Promise.resolve()
  }

  #save(store: OpenableStore): Promise<void> {
    this.#queued ??= this.#writeNext(store)
    this.#queued.catch(() => {}) // reported; callers that wait for it get it too
    return this.#queued
  }

  async #writeNext(store: OpenableStore): Promise<void> {
    await this.#writing?.catch(() => {})
    this.#queued = undefined
    this.#writing = this.#write(store)
    await this.#writing
  }

  async #write(store: OpenableStore): Promise<void> {
    const saving = this.#unsaved
    this.#unsaved = new Map()
    this.#seenTimer?.cancel() // all of it is written now
    this.#seenTimer = undefined
    try {
      await store.save(structuredClone(this.#document))
    } catch (cause) {
      for (const [peerId, patch] of this.#unsaved) saving.set(peerId, merged(saving.get(peerId), patch))
      this.#unsaved = saving
      const error = bookError(cause, 'could not be saved')
      this.#options.report(error)
      throw error
    }
  }
}

/** One patch that does what both do, one after the other. */
function merged(first: Patch | undefined, second: Patch): Patch {
  const { blocked } = first ?? {}
  if (first === undefined || second.removed === true) return blocked === undefined ? second : { blocked, ...second }
  const { dropped: before = [], ...rest } = { ...first, ...second, dropped: first.dropped }
  const returned = [...(second.added ?? []), ...(second.seen?.addresses ?? [])]
  const dropped = [...before.filter((address) => !returned.includes(address)), ...(second.dropped ?? [])]
  const added = [...new Set([...(first.added ?? []), ...(second.added ?? [])])]
  const seen = second.seen ?? first.seen
  return {
    ...rest,
    ...(first.added === undefined && second.added === undefined ? {} : { added }),
    ...(dropped.length === 0 ? {} : { dropped }),
    ...(seen === undefined || second.added === undefined
      ? {}
      : { seen: { ...seen, addresses: [...new Set([...seen.addresses, ...second.added])] } }),
  }
}

function emptyDocument(): Raw {
  return { version: VERSION, peers: {}, blocked: {} }
}

function bookError(cause: unknown, what: string): GlueberryError {
  if (GlueberryError.is(cause)) return cause
  return new GlueberryError('ADDRESS_BOOK', `the address book ${what}: ${textOf(cause)}`, { cause })
}

function problemOf(loaded: unknown): string | undefined {
  if (typeof loaded === 'string') return 'it is no JSON'
  if (!isObject(loaded)) return 'it is no object'
  if (loaded['version'] !== VERSION) return `its version is ${String(loaded['version'])}, not ${VERSION}`
  if (!isObject(loaded['peers'])) return 'its peers are no object'
  if (loaded['blocked'] !== undefined && !isObject(loaded['blocked'])) return 'its blocked are no object'
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
      if (isObject(value)) yield [peerId, value]
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
  const texts = Object.entries(isObject(metadata) ? metadata : {}).filter(([, text]) => typeof text === 'string')
  for (const address of good.slice(ADDRESSES_MAX)) unread.push(`the address ${address} of ${peerId}, one of too many`)
  return Object.freeze({
    addresses: parseAddressesOf(peerId, good.slice(0, ADDRESSES_MAX)),
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
