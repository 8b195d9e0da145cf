const HEADER_LENGTH = 12
const [DATA, PING] = [0, 2]
const SYN = 1

/**
 * Counts the frames of yamux that make us do something for 12 bytes: pings, which want an answer, and new streams
 * (https://github.com/hashicorp/yamux/blob/master/spec.md).
 */
export class YamuxRequests {
  readonly #header = new Uint8Array(HEADER_LENGTH)
  /** Of the header. */
  #read = 0
  /** Bytes of data until the next header. */
  #data = 0

  /** How many there are in the bytes that come next. */
  count(bytes: Uint8Array): number {
    let requests = 0
    for (let at = 0; at < bytes.length; ) {
      if (this.#data > 0) {
        const some = Math.min(this.#data, bytes.length - at)
        this.#data -= some
        at += some
        continue
      }
      const some = bytes.subarray(at, at + HEADER_LENGTH - this.#read)
      this.#header.set(some, this.#read)
      this.#read += some.length
      at += some.length
      if (this.#read < HEADER_LENGTH) break
      this.#read = 0
      const [, type, , flags] = this.#header as unknown as [number, number, number, number]
      if (type === DATA) this.#data = new DataView(this.#header.buffer).getUint32(8)
      if (type === PING || (flags & SYN) !== 0) requests++
    }
    return requests
  }
}
