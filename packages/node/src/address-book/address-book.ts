import { withSignal } from '../async.ts'
import { type Cancellable, type Clock, deadline } from '../clock.ts'
import { GlueberryError, textOf } from '../errors.ts'
import { isObject } from '../options/check.ts'
import type { PeerId } from '../peer-id.ts'
import type { PeerBlock } from '../peers/blocklist.ts'
import { BookDocument, type BookEntry, problemOf, type Raw, VERSION } from './book-document.ts'
import { merged, type Patch } from './patch.ts'
import type { OpenableStore } from './store.ts'

export interface AddressBookOptions {
  /** `undefined`: the book is in memory only. */
  readonly store: OpenableStore | undefined
  readonly clock: Clock
  /** Something went wrong that no call can be told of. */
  report(error: GlueberryError): void
}

/** When a session was established is written with the next change, or after so long, in milliseconds. */
const SEEN_DELAY = 60_000
/** How long the last write of a store may take when the node stops, in milliseconds. */
const CLOSE_TIMEOUT = 5000

/** The peers that outlive the program, and the blocked ones: when the document is read and written. */
export class AddressBook {
  readonly #options: AddressBookOptions
  #document = new BookDocument()
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
    return this.#document.entries
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
    const before = this.entries.get(peerId)
    if (before === undefined) return Promise.resolve()
    const moved = addresses.join(' ') !== before.addresses.join(' ')
    return this.#change(peerId, { seen: { addresses, at } }, moved)
  }

  /** Forgets addresses of a peer. */
  removeAddresses(peerId: PeerId, addresses: readonly string[]): Promise<void> {
    return this.entries.has(peerId) ? this.#change(peerId, { dropped: addresses }) : Promise.resolve()
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
    const { unread } = this.#document
    this.#open = true
    for (const [peerId, patch] of this.#unsaved) this.#document.apply(peerId, patch)
    if (this.#unsaved.size > 0) this.#save(store).catch(() => {}) // reported
    if (unread.length > 0) {
      const text = `the address book has what cannot be read, and is left as it is: ${unread.join('; ')}`
      this.#options.report(new GlueberryError('ADDRESS_BOOK', text))
    }
    return this.#document.blocks
  }

  async #read(store: OpenableStore): Promise<BookDocument> {
    let loaded: unknown
    try {
      loaded = structuredClone(await store.load())
    } catch (cause) {
      throw bookError(cause, 'could not be loaded')
    }
    if (loaded === undefined || loaded === null) return new BookDocument()
    const problem = problemOf(loaded)
    if (problem === undefined) return new BookDocument(loaded as Raw)
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
    return new BookDocument()
  }

  #change(peerId: PeerId, patch: Patch, urgent = true): Promise<void> {
    this.#document.apply(peerId, patch)
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
      await store.save(structuredClone(this.#document.raw))
    } catch (cause) {
      for (const [peerId, patch] of this.#unsaved) saving.set(peerId, merged(saving.get(peerId), patch))
      this.#unsaved = saving
      const error = bookError(cause, 'could not be saved')
      this.#options.report(error)
      throw error
    }
  }
}

function bookError(cause: unknown, what: string): GlueberryError {
  if (GlueberryError.is(cause)) return cause
  return new GlueberryError('ADDRESS_BOOK', `the address book ${what}: ${textOf(cause)}`, { cause })
}
