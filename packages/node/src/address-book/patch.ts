import type { PeerBlock } from '../peers/blocklist.ts'

/** What has become of a peer since the book was last written; made again on what a later `open` reads. */
export interface Patch {
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

/** One patch that does what both do, one after the other. */
export function merged(first: Patch | undefined, second: Patch): Patch {
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
