import { FRAME_HEADER_MAX } from '@glueberry/wire'
import { Owned, share } from '../memory.ts'

/** How many times its own size a message may hold in memory, by sharing a buffer with others. */
const PIN_FACTOR = 8
/** V8 keeps the bytes of so small an array in the object itself: a buffer to share would cost more. */
const IN_OBJECT = 64
const NO_SLAB = new Uint8Array(0)

/** The plaintext of one record, and what is taken out of it: so that a small message that is kept does not keep all of it. */
export class OpenedRecord {
  readonly #memory: Owned
  #slab: Uint8Array<ArrayBuffer> = NO_SLAB
  #used = 0
  #viewed = false

  constructor(plaintext: Uint8Array<ArrayBuffer>) {
    this.#memory = new Owned(plaintext)
  }

  /** All of it. @throws Error after the memory was given back */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#memory.bytes
  }

  /** The bytes from `start` to `end`, to keep: a view where they are large beside the record, otherwise a copy. */
  take(start: number, end: number): Uint8Array<ArrayBuffer> {
    const { bytes } = this
    const size = end - start
    if (this.#fills(start, end)) return this.#view(start, end)
    if (size * PIN_FACTOR >= bytes.length) {
      if (!this.#viewed) share(bytes.buffer)
      return this.#view(start, end)
    }
    if (size <= IN_OBJECT) return bytes.slice(start, end)
    // Some small ones share a buffer: one for each would cost more than its bytes.
    if (size > this.#slab.length - this.#used || size * PIN_FACTOR < this.#slab.length) {
      this.#slab = new Uint8Array(size * PIN_FACTOR)
      share(this.#slab.buffer)
      this.#used = 0
    }
    const copy = this.#slab.subarray(this.#used, this.#used + size)
    this.#used += size
    copy.set(bytes.subarray(start, end))
    return copy
  }

  /** The same for what nobody but the receiver will see: a view only where nothing else lies in the record. */
  takeAlone(start: number, end: number): Uint8Array<ArrayBuffer> {
    return this.#fills(start, end) ? this.#view(start, end) : this.bytes.slice(start, end)
  }

  /** Nothing more is taken: its memory is given back, unless it has been handed out. */
  close(): void {
    if (!this.#viewed) this.#memory.release()
  }

  #fills(start: number, end: number): boolean {
    return start <= FRAME_HEADER_MAX && end === this.bytes.length
  }

  #view(start: number, end: number): Uint8Array<ArrayBuffer> {
    this.#viewed = true
    return this.bytes.subarray(start, end)
  }
}
