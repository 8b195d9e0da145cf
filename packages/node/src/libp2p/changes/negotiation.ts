import { violation } from './frames.ts'

const HEADER = '/multistream/1.0.0\n'
/** As libp2p has it, in bytes. */
const LONGEST = 1024
/** Messages until a protocol is agreed on; those of an honest peer are two, or one more for each proposal that is refused. */
const MESSAGES = 8
/** In which they may come; a remote that writes byte by byte has need of 46. */
const PIECES = 64
/** What may come behind them until libp2p hands the stream over, in bytes, and how many of them a piece has at least. */
const [BEHIND, BEHIND_PER_PIECE] = [128 * 1024, 256]

/** Keeps a byte order mark, and makes what is no UTF-8 unlike any protocol, as libp2p does. */
const utf8 = new TextDecoder('utf-8', { ignoreBOM: true })

/** What a remote says in multistream-select (https://github.com/multiformats/multistream-select), looked at while it passes. */
export class Negotiation {
  readonly #agreed: (protocol: string) => boolean
  /** The message that is not yet whole. */
  readonly #bytes: number[] = []
  #messages = 0
  #pieces = 0
  #over = false
  #behind = 0

  /** @param agreed whether that is a protocol with which the negotiation ends; what follows is the protocol's own */
  constructor(agreed: (protocol: string) => boolean) {
    this.#agreed = agreed
  }

  /** Looks at one piece of what comes. Throws when it may not come. */
  read(bytes: Uint8Array): void {
    let at = 0
    while (at < bytes.length && !this.#over) this.#add(bytes[at++] as number)
    this.#behind += bytes.length - at
    if (this.#behind > BEHIND) throw violation('multistream-select: more than is taken before a stream is handed over')
    if (++this.#pieces > PIECES + this.#behind / BEHIND_PER_PIECE)
      throw violation('multistream-select: too many pieces')
  }

  #add(byte: number): void {
    this.#bytes.push(byte)
    const message = this.#message()
    if (message === undefined) return
    // To the byte: what libp2p does not take for the protocol must not end this.
    this.#over = message !== HEADER && message.endsWith('\n') && this.#agreed(message.slice(0, -1))
    if (!this.#over && ++this.#messages === MESSAGES) {
      throw violation(`multistream-select: ${MESSAGES} messages have agreed on nothing`)
    }
  }

  /** The message, when it is whole. */
  #message(): string | undefined {
    const [first, second] = this.#bytes as [number, number?]
    if (first < 0x80) return this.#whole(1, first)
    if (second === undefined) return undefined
    if (second >= 0x80) throw violation('multistream-select: the length of a message has more than two bytes')
    return this.#whole(2, (first & 0x7f) | (second << 7))
  }

  #whole(prefix: number, length: number): string | undefined {
    if (length === 0 || length > LONGEST) {
      throw violation(`multistream-select: a message of ${length} bytes, 1 to ${LONGEST} are allowed`)
    }
    if (this.#bytes.length < prefix + length) return undefined
    const text = utf8.decode(Uint8Array.from(this.#bytes.slice(prefix)))
    this.#bytes.length = 0
    return text
  }
}
