const EMPTY = new Uint8Array(0)

/** Shorter chunks are joined: an object for each would take more memory than its bytes. */
const SMALL = 512

/**
 * Bytes that have arrived and are not yet parsed. Large chunks are kept as they came, and only what straddles two of
 * them is copied. Small chunks that wait behind others are copied into one buffer.
 */
export class ByteQueue {
  #chunks: Uint8Array[] = []
  #offset = 0 // into the first chunk
  #length = 0
  /** Holds joined chunks, the last of `#chunks` among them. */
  #joined: Uint8Array = EMPTY
  #used = 0 // of it

  /** How many bytes wait. */
  get length(): number {
    return this.#length
  }

  /** Adds what has arrived; a large chunk is kept as it is, not copied. */
  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return
    this.#length += chunk.length
    let last = this.#chunks.at(-1)
    if (last !== undefined && this.#offset > 0 && this.#chunks.length === 1) {
      // What was taken of it must not be joined again and again.
      last = last.subarray(this.#offset)
      this.#chunks[0] = last
      this.#offset = 0
    }
    if (last === undefined || chunk.length >= SMALL || (last.length >= SMALL && last.buffer !== this.#joined.buffer)) {
      this.#chunks.push(chunk)
    } else {
      this.#chunks[this.#chunks.length - 1] = this.#join(last, chunk)
    }
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

  /** Removes and returns everything, in chunks of no meaning. */
  drain(): Uint8Array[] {
    const chunks = this.#chunks
    const first = chunks[0]
    if (first !== undefined && this.#offset > 0) chunks[0] = first.subarray(this.#offset)
    this.#chunks = []
    this.#offset = 0
    this.#length = 0
    this.#joined = EMPTY
    return chunks
  }

  /** The last chunk with another one behind it. */
  #join(last: Uint8Array, chunk: Uint8Array): Uint8Array {
    const end = last.byteOffset + last.length
    const goesOn =
      last.buffer === this.#joined.buffer && end === this.#used && end + chunk.length <= this.#joined.length
    if (goesOn) {
      this.#joined.set(chunk, end)
      this.#used = end + chunk.length
      return this.#joined.subarray(last.byteOffset, this.#used)
    }
    this.#used = last.length + chunk.length
    this.#joined = new Uint8Array(Math.max(SMALL, 2 * this.#used))
    this.#joined.set(last)
    this.#joined.set(chunk, last.length)
    return this.#joined.subarray(0, this.#used)
  }
}
