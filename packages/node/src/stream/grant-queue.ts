import type { Budget } from './budget.ts'
import type { Inbox } from './inbox.ts'

/**
 * Senders of all peers that wait for credit, in turns: the first one that a node has no room for holds up those behind it,
 * so that a large message gets its turn. One that only its own peer's budget has no room for holds up nobody.
 */
export class GrantQueue {
  /** What is to be done when an inbox was granted what its sender waits for. */
  readonly #waiting = new Map<Inbox, () => void>()

  /** @param budget of the node */
  constructor(budget: Budget) {
    budget.onFreed = () => this.#serve()
  }

  /** This inbox wants more than it has. Calls back, once, when it was granted; at once if there is room. */
  ask(inbox: Inbox, granted: () => void): void {
    if (!this.#waiting.has(inbox)) this.#waiting.set(inbox, granted)
    this.#serve()
  }

  /** Nothing is wanted there any more. */
  drop(inbox: Inbox): void {
    this.#waiting.delete(inbox)
  }

  #serve(): void {
    for (const [inbox, granted] of this.#waiting) {
      const short = inbox.grant()
      if (short === 'parent') return
      if (short === 'own') continue
      this.#waiting.delete(inbox)
      granted()
    }
  }
}
