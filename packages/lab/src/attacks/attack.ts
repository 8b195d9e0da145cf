export type Random = () => number

/** One way to send bytes that no honest node sends. */
export interface Attack {
  /** On what it is sent. */
  readonly step: 'before libp2p' | 'on yamux' | 'on new streams' | 'on a session' | 'on stray streams'
  readonly name: string
  /** How often it comes, beside the others. */
  readonly weight: number
  /**
   * Resolves with how many hostile inputs it has sent. On a session: when the node has ended it, for breaking the
   * protocol wherever it can tell that from a line that broke; rejects with what the node did instead.
   */
  run(random: Random): Promise<number>
}

/** A whole number from `min` to `max`. */
export function between(random: Random, min: number, max: number): number {
  return min + Math.floor(random() * (max - min + 1))
}

export function randomBytes(random: Random, length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, () => between(random, 0, 255))
}

export function pick<T>(random: Random, from: readonly T[]): T {
  return from[between(random, 0, from.length - 1)] as T
}

/** Other bytes than these: some are changed, or some are put in between. */
export function mutated(random: Random, bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  if (bytes.length > 0 && random() < 0.7) {
    const copy = Uint8Array.from(bytes)
    for (let edits = between(random, 1, 4); edits > 0; edits--) {
      const at = between(random, 0, copy.length - 1)
      copy[at] = (copy[at] as number) ^ (1 << between(random, 0, 7))
    }
    // Two edits may have undone each other.
    if (Buffer.compare(copy, bytes) !== 0) return copy
  }
  // Behind the last byte it would be another input after a proper one.
  const at = between(random, 0, Math.max(0, bytes.length - 1))
  const inserted = randomBytes(random, between(random, 1, 8))
  return Uint8Array.from([...bytes.subarray(0, at), ...inserted, ...bytes.subarray(at)])
}

/** Less than all of these. */
export function truncated(random: Random, bytes: Uint8Array): Uint8Array {
  return bytes.subarray(0, between(random, 0, bytes.length - 1))
}
