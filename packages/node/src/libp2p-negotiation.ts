import type {
  ConnectionEncrypter,
  ConnectionProtector,
  MessageStream,
  StreamMessageEvent,
  StreamMuxer,
  StreamMuxerFactory,
} from '@libp2p/interface'
import { GlueberryError } from './errors.ts'

// js-libp2p agrees on each protocol by multistream-select, and reads the length of a message there byte by byte, for as
// long as the bytes do not end it: 64 KiB of 0xff hold the event loop for half a second, and anyone can send more. It
// also answers any number of proposals. So each negotiation is watched here until a protocol is agreed on.
// https://github.com/multiformats/multistream-select

const HEADER = '/multistream/1.0.0'
/** As libp2p has it, with its newline, in bytes. */
const LONGEST = 1024
/** Messages until a protocol is agreed on; those of an honest peer are two. */
const MESSAGES = 16

/** What a remote says before a protocol is agreed on. */
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

/** Watches connections that have just begun, for both sides. */
export function guardConnections(encrypter: string): ConnectionProtector {
  return {
    async protect(connection) {
      guard(connection, (protocol) => protocol === encrypter)
      return connection
    },
  }
}

/** Watches connections that this has encrypted and whose muxer was not agreed on with that. */
export function guardEncrypter(encrypter: ConnectionEncrypter, muxer: string): ConnectionEncrypter {
  const secure =
    (direction: 'secureInbound' | 'secureOutbound'): ConnectionEncrypter['secureInbound'] =>
    async (connection, options) => {
      const secured = await encrypter[direction](connection, options)
      if (secured.streamMuxer === undefined && options?.skipStreamMuxerNegotiation !== true) {
        guard(secured.connection, (protocol) => protocol === muxer)
      }
      return secured
    }
  return {
    protocol: encrypter.protocol,
    secureInbound: secure('secureInbound'),
    secureOutbound: secure('secureOutbound'),
  }
}

/** Watches all streams. @param protocols those that others may open streams with, at this moment */
export function guardMuxer(factory: StreamMuxerFactory, protocols: () => readonly string[]): StreamMuxerFactory {
  return {
    protocol: factory.protocol,
    createStreamMuxer(connection): StreamMuxer {
      const muxer = factory.createStreamMuxer(connection)
      aheadOfFirst(muxer, 'stream', () => {
        muxer.addEventListener('stream', ({ detail }) => guard(detail, (protocol) => protocols().includes(protocol)))
      })
      const createStream = muxer.createStream.bind(muxer)
      muxer.createStream = async (options) => {
        const stream = await createStream(options)
        // Where several are proposed, the first that is not refused ends it.
        guard(stream, (protocol) => protocol === (options?.protocol ?? protocol) && protocol !== 'na')
        return stream
      }
      return muxer
    },
  }
}

function guard(stream: MessageStream, agreed: (protocol: string) => boolean): void {
  const negotiation = new Negotiation(agreed)
  const watch = (event: StreamMessageEvent): void => {
    try {
      if (negotiation.over(event.data.subarray())) stream.removeEventListener('message', watch)
    } catch (error) {
      event.stopImmediatePropagation()
      stream.abort(error as Error)
    }
  }
  aheadOfFirst(stream, 'message', () => stream.addEventListener('message', watch))
}

/**
 * Adds a listener when the first other one is added, and before it: what has come until then waits for a listener, and
 * would be lost if ours were there alone.
 */
function aheadOfFirst(
  target: { addEventListener: (type: never, ...rest: never[]) => void },
  first: string,
  add: () => void,
): void {
  const original = target.addEventListener
  target.addEventListener = (type, ...rest) => {
    if (type === first) {
      target.addEventListener = original
      add()
    }
    original.call(target, type, ...rest)
  }
}
