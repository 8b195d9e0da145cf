import type { Cancellable, Clock } from '../clock.ts'
import type { Inbox } from './inbox.ts'

/** An acknowledgement that is not urgent waits so long for others, in milliseconds. */
const DELAY = 5

/** Inboxes of one session of whose positions the sender is to be told, and when. */
export class AcknowledgementSchedule {
  readonly #clock: Clock
  readonly #due = new Set<Inbox>()
  #request: (() => void) | undefined // once the session is established
  #timer: Cancellable | undefined // while something is due

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The session is established: from here on `request` asks it to acknowledge what is due. */
  begin(request: () => void): void {
    this.#request = request
    if (this.#due.size > 0) request()
  }

  soon(inbox: Inbox): void {
    this.#due.add(inbox)
    this.#timer ??= this.#clock.setTimer(() => {
      this.#timer = undefined
      this.#request?.()
    }, DELAY)
  }

  now(inbox: Inbox): void {
    if (this.#request === undefined) return this.soon(inbox)
    this.#due.add(inbox)
    this.#request()
  }

  /** What is due, which then no longer is. */
  take(): readonly Inbox[] {
    const due = [...this.#due]
    this.#clear()
    return due
  }

  /** Nothing of this inbox is to be told any more. */
  delete(inbox: Inbox): void {
    this.#due.delete(inbox)
  }

  /** The session is over. */
  end(): void {
    this.#request = undefined
    this.#clear()
  }

  #clear(): void {
    this.#due.clear()
    this.#timer?.cancel()
    this.#timer = undefined
  }
}
