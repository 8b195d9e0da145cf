import { ADDRESSES_MAX, parseAddressesOf } from '../address.ts'
import { isObject } from '../options/check.ts'
import type { PeerId } from '../peer-id.ts'
import { parsePeerId } from '../peer-ref.ts'
import type { PeerBlock } from '../peers/blocklist.ts'
import type { Patch } from './patch.ts'

/** What the book keeps of a peer. */
export interface BookEntry {
  readonly addresses: readonly string[]
  readonly metadata: Readonly<Record<string, string>>
  /** Whether it is kept connected. */
  readonly connect: boolean
  /** When a session with it was last established, in milliseconds since 1970. */
  readonly lastSeen?: number
}

export type Raw = Record<string, unknown>

/** Of the document's form. */
export const VERSION = 1

/**
 * The address book as a document: peers and blocks. It holds what was read, so that fields and entries that it does not
 * know are written back as they were.
 */
export class BookDocument {
  readonly raw: Raw
  readonly #entries = new Map<PeerId, BookEntry>()
  /** What of the document cannot be read. */
  readonly unread: readonly string[]

  /** @param raw without a `problemOf` */
  constructor(raw: Raw = { version: VERSION, peers: {}, blocked: {} }) {
    this.raw = raw
    const unread: string[] = []
    for (const [peerId, entry] of known(this.#peers, unread)) this.#entries.set(peerId, parse(peerId, entry, unread))
    Array.from(known(this.#blocked, unread)) // for what it cannot read
    this.unread = unread
  }

  get entries(): ReadonlyMap<PeerId, BookEntry> {
    return this.#entries
  }

  get blocks(): ReadonlyMap<PeerId, PeerBlock> {
    const blocks = new Map<PeerId, PeerBlock>()
    for (const [peerId, { until, reason }] of known(this.#blocked, [])) {
      blocks.set(peerId, {
        ...(typeof until === 'number' ? { until } : {}),
        ...(typeof reason === 'string' ? { reason } : {}),
      })
    }
    return blocks
  }

  apply(peerId: PeerId, { removed, added, metadata, connect, seen, dropped, blocked }: Patch): void {
    if (removed === true) {
      this.#entries.delete(peerId)
      delete this.#peers[peerId]
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
    if (blocked.block === undefined) delete this.#blocked[peerId]
    else this.#blocked[peerId] = { ...blocked.block }
  }

  #put(peerId: PeerId, entry: BookEntry): void {
    this.#entries.set(peerId, Object.freeze({ ...entry, metadata: Object.freeze({ ...entry.metadata }) }))
    const peers = this.#peers
    const before = isObject(peers[peerId]) ? peers[peerId] : {}
    const given = Array.isArray(before['addresses']) ? before['addresses'] : []
    const unreadable = given.filter((address) => !isAddressOf(peerId, address))
    peers[peerId] = { ...before, ...entry, addresses: [...entry.addresses, ...unreadable] }
  }

  get #peers(): Raw {
    return this.raw['peers'] as Raw
  }

  get #blocked(): Raw {
    this.raw['blocked'] ??= {}
    return this.raw['blocked'] as Raw
  }
}

/** Why this cannot be an address book, if it cannot. */
export function problemOf(loaded: unknown): string | undefined {
  if (typeof loaded === 'string') return 'it is no JSON'
  if (!isObject(loaded)) return 'it is no object'
  if (loaded['version'] !== VERSION) return `its version is ${String(loaded['version'])}, not ${VERSION}`
  if (!isObject(loaded['peers'])) return 'its peers are no object'
  if (loaded['blocked'] !== undefined && !isObject(loaded['blocked'])) return 'its blocked are no object'
  return undefined
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
