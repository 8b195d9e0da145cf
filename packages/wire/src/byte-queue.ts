const EMPTY = new Uint8Array(0)

/**
 * Bytes that have arrived and are not yet parsed. Chunks are kept as they came;
 * only what straddles two of them is copied.
 */
export class ByteQueue {
  #chunks: Uint8Array[] = []
  #offset = 0 // into the first chunk
  #length = 0

  /** How many bytes wait. */
  get length(): number {
    return this.#length
  }

  /** Adds what has arrived; it is kept as it is, not copied. */
  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return
    this.#chunks.push(chunk)
    this.#length += chunk.length
  }

  /** The first `count` bytes, or as many as there are, left in the queue. */
  peek(count: number): Uint8Array {
    const wanted = Math.min(count, this.#length)
    const first = this.#chunks[0]
    if (first === undefined) return EMPTY
    if (first.length - this.#offset >= wanted) return first.subarray(this.#offset, this.#offset + wanted)

    const joined = new Uint8Array(wanted)
    let filled = 0
    let from = this.#offset
    for (const chunk of this.#chunks) {
      const part = chunk.subarray(from, from + wanted - filled)
      joined.set(part, filled)
      filled += part.length
      from = 0
      if (filled === wanted) break
    }
    return joined
  }

  /** Removes the first `count` bytes; there must be as many. */
  skip(count: number): void {
    if (count > this.#length) throw new RangeError(`cannot skip ${count} of ${this.#length} bytes`)
    this.#length -= count
    let rest = count + this.#offset
    let whole = 0
    for (const chunk of this.#chunks) {
      if (rest < chunk.length) break
      rest -= chunk.length
      whole++
    }
    if (whole > 0) this.#chunks.splice(0, whole)
    this.#offset = rest
  }

  /** Removes and returns the first `count` bytes; there must be as many. A view where they lie in one chunk. */
  take(count: number): Uint8Array {
    const bytes = this.peek(count)
    this.skip(count)
    return bytes
  }
}
