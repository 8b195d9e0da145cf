import { GlueberryError } from '../../errors.ts'

/** A violation of what a layer of libp2p allows, or of what anyone would need of it. */
export function violation(what: string): GlueberryError {
  return new GlueberryError('PROTOCOL', what)
}

export interface FrameRules {
  /** The protocol that the frames belong to, for errors. */
  readonly layer: string
  readonly headerLength: number
  /** How many bytes follow this header. Throws when there may be no such frame. */
  begin(header: Uint8Array): number
  /** So many bytes more of a frame that is not whole are kept behind this, or less. */
  readonly hold: (bytes: number) => void
  /** What follows the header may come in 16 pieces, and in one more for each so many of its bytes. */
  readonly bytesPerPiece: number
}

/** Frames with a header and as many bytes as it says, looked at while they pass. */
export class Frames {
  readonly #rules: FrameRules
  readonly #header: Uint8Array
  /** Of the header. */
  #read = 0
  /** Bytes until the next header, and how many pieces may leave some of them open. */
  #rest = 0
  #pieces = 0
  /** Bytes of the frame that is not whole, and how many of them were told. */
  #open = 0
  #told = 0

  constructor(rules: FrameRules) {
    this.#rules = rules
    this.#header = new Uint8Array(rules.headerLength)
  }

  /** Looks at one piece of what comes. Throws when it may not come. */
  read(bytes: Uint8Array): void {
    const { layer, headerLength, begin, bytesPerPiece, hold } = this.#rules
    for (let at = 0; at < bytes.length; ) {
      if (this.#rest > 0) {
        const some = Math.min(this.#rest, bytes.length - at)
        this.#rest -= some
        this.#open = this.#rest === 0 ? 0 : this.#open + some
        at += some
        if (this.#rest > 0 && this.#pieces-- === 0) throw violation(`${layer}: a frame in too many pieces`)
        continue
      }
      const some = bytes.subarray(at, at + headerLength - this.#read)
      this.#header.set(some, this.#read)
      this.#read += some.length
      this.#open += some.length
      at += some.length
      if (this.#read < headerLength) break
      this.#read = 0
      this.#rest = begin(this.#header)
      if (this.#rest === 0) this.#open = 0
      this.#pieces = 15 + Math.floor(this.#rest / bytesPerPiece)
    }
    if (this.#open === this.#told) return
    hold(this.#open - this.#told)
    this.#told = this.#open
  }
}
