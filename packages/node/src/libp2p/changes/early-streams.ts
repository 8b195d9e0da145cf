import type { Stream } from '@libp2p/interface'
import { GlueberryError } from '../../errors.ts'
import type { Changes } from './changes.ts'

const MULTISTREAM = '/multistream/1.0.0'

/** What each stream that was opened early has to hear first. */
const awaited = new WeakMap<Stream, AgreedProtocol>()

/**
 * Proposes the one protocol of a new stream, and lets its user write at once: the proposal and the first bytes go
 * together, and the answer is looked at when it comes. libp2p itself would wait a round trip for it. The remote sees an
 * ordinary multistream-select 1.0 (https://github.com/multiformats/multistream-select).
 *
 * Relies on libp2p not to negotiate on a stream whose muxer has given it a protocol. @returns whether it was possible
 */
export function openEarly(stream: Stream, protocol: string, changes: Changes): boolean {
  if (stream.protocol !== '') {
    changes.miss('early streams')
    return false
  }
  const proposal = Buffer.concat([line(MULTISTREAM), line(protocol)])
  awaited.set(stream, new AgreedProtocol(proposal, protocol))
  stream.send(proposal)
  stream.protocol = protocol
  return true
}

/** What is to come first on this stream; `undefined` when libp2p has agreed on its protocol. */
export function awaitedOn(stream: Stream): AgreedProtocol | undefined {
  return awaited.get(stream)
}

/** The answer that agrees to a proposal: the same bytes. */
export class AgreedProtocol {
  readonly #expected: Uint8Array
  readonly #protocol: string
  readonly #agreed = Promise.withResolvers<void>()
  #seen = 0

  constructor(expected: Uint8Array, protocol: string) {
    this.#expected = expected
    this.#protocol = protocol
  }

  /** Whether all of it has come. */
  get complete(): boolean {
    return this.#seen === this.#expected.length
  }

  /** Resolves when all of it has come. */
  get agreed(): Promise<void> {
    return this.#agreed.promise
  }

  /** What of this piece comes behind the answer. @throws GlueberryError `VERSION_MISMATCH` when the remote does not agree */
  take(piece: Uint8Array): Uint8Array {
    const length = Math.min(piece.length, this.#expected.length - this.#seen)
    for (let i = 0; i < length; i++) {
      if (piece[i] === this.#expected[this.#seen++]) continue
      throw new GlueberryError('VERSION_MISMATCH', `the peer does not speak ${this.#protocol}`, { hint: OTHER_PROGRAM })
    }
    if (this.complete) this.#agreed.resolve()
    return piece.subarray(length)
  }
}

/** Why a peer may not speak our protocols. */
export const OTHER_PROGRAM = 'it is no Glueberry node, or one of another version'

/** A message of multistream-select; all of ours are shorter than 128 bytes. */
function line(text: string): Uint8Array {
  const bytes = Buffer.from(`${text}\n`)
  return Buffer.concat([Uint8Array.of(bytes.length), bytes])
}
