import { withSignal } from '../async.ts'
import { type Clock, deadline } from '../clock.ts'
import type { SessionEnd } from '../session/endings.ts'
import type { Session } from '../session/session.ts'

/** How long a goodbye may take to be read, in milliseconds. */
const LAST_WORD_TIMEOUT = 1000

/** What is still on its way out. */
export class Closings {
  readonly #clock: Clock
  readonly #closing = new Set<Promise<void>>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Something that is ending. */
  add(ending: Promise<void>): void {
    const closing = ending.finally(() => this.#closing.delete(closing))
    this.#closing.add(closing)
  }

  /** The session was the last one on its link: closes that, after a goodbye in good order. */
  closeLink(session: Session, { reason, goodbye, refusal }: SessionEnd): void {
    if (goodbye === undefined && refusal === undefined) {
      return session.link.abort(reason.error ?? new Error('the session is over'))
    }
    this.add(this.#closeOrderly(session))
  }

  /** Resolves when nothing is any more; each takes a bounded time. */
  async over(): Promise<void> {
    await Promise.all(this.#closing)
  }

  /**
   * The goodbye must arrive: closing a socket that still has unread bytes makes TCP reset it, and what the other
   * side has not read yet is lost. So wait, a bounded time, until it has closed its side of the control stream.
   */
  async #closeOrderly(session: Session): Promise<void> {
    const limit = deadline(this.#clock, LAST_WORD_TIMEOUT, () => new Error('no answer to the goodbye'))
    await withSignal(session.remoteEnded, limit.signal).catch(() => {})
    limit.cancel()
    await session.link.close()
  }
}
