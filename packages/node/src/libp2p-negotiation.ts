import { GlueberryError } from './errors.ts'

const HEADER = '/multistream/1.0.0'
/** As libp2p has it, with its newline, in bytes. */
const LONGEST = 1024
/** Messages until a protocol is agreed on; those of an honest peer are two. */
const MESSAGES = 16

/** What a remote says in multistream-select, until a protocol is agreed on (https://github.com/multiformats/multistream-select). */
export class Negotiation {
  readonly #agreed: (protocol: string) => boolean
  /** The message that is not yet whole. */
  readonly #bytes: number[] = []
  #messages = 0

  /** @param agreed whether that is a protocol with which the negotiation ends */
  constructor(agreed: (protocol: string) => boolean) {
    this.#agreed = agreed
  }

  /** Whether it is over with these bytes; throws when they are none of a negotiation. */
  over(bytes: Uint8Array): boolean {
    for (const byte of bytes) {
      this.#bytes.push(byte)
      const message = this.#message()
      if (message === undefined) continue
      if (this.#agreed(message) && message !== HEADER) return true
      if (++this.#messages === MESSAGES) throw violation(`${MESSAGES} messages have agreed on nothing`)
    }
    return false
  }

  /** The message without its newline, when it is whole. */
  #message(): string | undefined {
    const [first, second] = this.#bytes as [number, number?]
    if (first < 0x80) return this.#whole(1, first)
    if (second === undefined) return undefined
    if (second >= 0x80) throw violation('the length of a message has more than two bytes')
    return this.#whole(2, (first & 0x7f) | (second << 7))
  }

  #whole(prefix: number, length: number): string | undefined {
    if (length === 0 || length > LONGEST) throw violation(`a message of ${length} bytes, 1 to ${LONGEST} are allowed`)
    if (this.#bytes.length < prefix + length) return undefined
    const text = String.fromCharCode(...this.#bytes.slice(prefix))
    this.#bytes.length = 0
    return text.trimEnd()
  }
}

function violation(what: string): GlueberryError {
  return new GlueberryError('PROTOCOL', `multistream-select: ${what}`)
}
