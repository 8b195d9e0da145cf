import { HANDSHAKE_BYTES_MAX, type Refusal } from '@glueberry/wire'
import { GlueberryError, textOf } from '../errors.ts'
import type { Logger } from '../observe/logger.ts'
import type { PeerId } from '../peer-id.ts'
import { Takers } from '../takers.ts'
import type { Direction } from '../transport/transport.ts'

declare const verdict: unique symbol

/** A decision about a peer: only `accept()` and `refuse()` of that peer's handshake make one. */
export interface Verdict {
  readonly [verdict]: true
}

/**
 * What the application's handshake sees of an authenticated peer. It may exchange messages of its own, and then
 * returns `peer.accept()` or `peer.refuse(reason)`. Whatever else it returns, and a throw, admits nobody.
 */
export interface HandshakePeer {
  /** The peer's id, which is authenticated. */
  readonly peerId: PeerId
  /** This node's own id. */
  readonly localPeerId: PeerId
  /** Which side dialed: `inbound` is the peer. */
  readonly direction: Direction
  /** Aborts when the session ends before a decision, the handshake's time-out included. */
  readonly signal: AbortSignal
  /** Sends bytes, or a text as UTF-8, to the other side's handshake: at most 65,473. */
  send(data: Uint8Array | string): Promise<void>
  /** The next bytes from the other side's handshake. Rejects when the session ends first. */
  receive(): Promise<Uint8Array<ArrayBuffer>>
  /** Lets the peer in, when it is returned. */
  accept(): Verdict
  /** The other side learns the reason, and both leave each other alone for `timeouts.cooldown`. */
  refuse(reason: string): Verdict
}

/** What came of it. */
type Decision = { readonly accepted: true } | { readonly accepted: false; readonly reason: string }

/** Unread messages of the other side, at most (docs/protocol.md, Session handshake). */
const UNREAD_MESSAGES = 64
const UNREAD_BYTES = 256 * 1024

const encoder = new TextEncoder()

/** One run of the application's handshake: the queue between it and the session. */
export class ApplicationHandshake {
  readonly #peerId: PeerId
  readonly #own: PeerId
  readonly #write: (data: Uint8Array) => Promise<void>
  /** So many bytes more wait unread, or less. */
  readonly #hold: (bytes: number) => void
  readonly #abort = new AbortController()
  /** Why nothing more is read. */
  #closed: { readonly error: unknown } | undefined
  readonly #unread: Uint8Array<ArrayBuffer>[] = []
  readonly #readers = new Takers(() => this.#take())
  #unreadBytes = 0

  constructor(peerId: PeerId, own: PeerId, write: (data: Uint8Array) => Promise<void>, hold: (bytes: number) => void) {
    this.#peerId = peerId
    this.#own = own
    this.#write = write
    this.#hold = hold
  }

  /** Bytes of the other side have come. @throws GlueberryError `PROTOCOL` when too many wait unread */
  push(data: Uint8Array<ArrayBuffer>): void {
    if (this.#closed !== undefined) return
    this.#unread.push(data)
    this.#unreadBytes += data.length
    this.#hold(data.length)
    this.#readers.wake()
    if (this.#unread.length > UNREAD_MESSAGES || this.#unreadBytes > UNREAD_BYTES) {
      throw new GlueberryError(
        'PROTOCOL',
        `more than ${UNREAD_MESSAGES} handshake messages or ${UNREAD_BYTES} bytes wait unread`,
      )
    }
  }

  /** Runs the application's handler to its decision: why the peer is refused, if it is. A handler that fails admits nobody. */
  async decide(
    handler: (peer: HandshakePeer) => Promise<Verdict>,
    direction: Direction,
    { logger, report }: { readonly logger: Logger; report(error: GlueberryError): void },
  ): Promise<Refusal | undefined> {
    try {
      const decision = await this.#run(handler, direction)
      return decision.accepted ? undefined : { code: 'application', reason: decision.reason }
    } catch (error) {
      if (!this.#abort.signal.aborted) {
        const peerId = this.#peerId
        logger.error('the handshake handler failed', { peerId, error })
        const text = `the handshake handler failed for ${peerId}: ${textOf(error)}`
        report(new GlueberryError('HANDSHAKE_REFUSED', text, { peerId, cause: error }))
      }
      return { code: 'failed', reason: 'its handshake failed' }
    }
  }

  async #run(handler: (peer: HandshakePeer) => Promise<Verdict>, direction: Direction): Promise<Decision> {
    const decisions = new Map<unknown, Decision>()
    const decide = (decision: Decision): Verdict => {
      const made = Object.freeze({}) as Verdict
      decisions.set(made, decision)
      return made
    }
    const returned: unknown = await handler({
      peerId: this.#peerId,
      localPeerId: this.#own,
      direction,
      signal: this.#abort.signal,
      send: async (data) => this.#write(handshakeBytes(data)),
      receive: () => this.#receive(),
      accept: () => decide({ accepted: true }),
      refuse: (reason) => decide({ accepted: false, reason: String(reason) }),
    })
    const decision = decisions.get(returned)
    if (decision === undefined) {
      throw new GlueberryError('HANDSHAKE_REFUSED', 'the handshake handler returned no decision', {
        peerId: this.#peerId,
        hint: 'end it with `return peer.accept()` or `return peer.refuse(reason)` on every path',
      })
    }
    return decision
  }

  /** The session is over before a decision: those that still wait are told. */
  end(error: unknown): void {
    this.close(error)
    this.#abort.abort(error)
  }

  /** It is decided: nothing more is read. */
  close(error: unknown): void {
    this.#closed ??= { error }
    this.#unread.length = 0
    this.#readers.fail(error)
  }

  #receive(): Promise<Uint8Array<ArrayBuffer>> {
    return this.#closed === undefined ? this.#readers.next() : Promise.reject(this.#closed.error)
  }

  #take(): Uint8Array<ArrayBuffer> | undefined {
    const data = this.#unread.shift()
    if (data === undefined) return undefined
    this.#unreadBytes -= data.length
    this.#hold(-data.length)
    return data
  }
}

/** @throws GlueberryError `MESSAGE_TOO_LARGE` */
function handshakeBytes(data: Uint8Array | string): Uint8Array {
  const bytes: unknown = typeof data === 'string' ? encoder.encode(data) : data
  if (bytes instanceof Uint8Array && bytes.length <= HANDSHAKE_BYTES_MAX) return bytes
  const got = bytes instanceof Uint8Array ? `${bytes.length} bytes` : typeof data
  throw new GlueberryError(
    'MESSAGE_TOO_LARGE',
    `a handshake message is a text or at most ${HANDSHAKE_BYTES_MAX} bytes, got ${got}`,
  )
}
