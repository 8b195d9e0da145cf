import type { Budget } from './budget.ts'
import type { Inbox } from './inbox.ts'

/**
 * Senders of all peers that wait for credit, in turns: the first one that a node has no room for holds up those behind it,
 * so that a large message gets its turn. One that only its own peer's budget, or its name, has no room for holds up nobody.
 */
export class GrantQueue {
  /** What is to be done when an inbox was granted what its sender waits for. */
  readonly #waiting = new Map<Inbox, () => void>()
  readonly #budget: Budget
  /** Those in which somebody waits for room: what others consume there is not promised to them again. */
  readonly #contended = new Set<Budget>()

  /** @param budget of the node */
  constructor(budget: Budget) {
    this.#budget = budget
  }

  /** This inbox wants more than it has. Calls back, once, when it was granted; at once if there is room. */
  ask(inbox: Inbox, granted: () => void): void {
    if (!this.#waiting.has(inbox)) this.#waiting.set(inbox, granted)
    this.#serve()
  }

  /** Nothing is wanted there any more: those behind it may have room. */
  drop(inbox: Inbox): void {
    if (this.#waiting.delete(inbox)) queueMicrotask(() => this.#serve())
  }

  #serve(): void {
    for (const budget of this.#contended) budget.contended = false
    this.#contended.clear()
    this.#serveInTurns()
    // Something is freed with each message: that is looked at only while somebody waits.
    this.#budget.onFreed = this.#waiting.size === 0 ? undefined : () => this.#serve()
  }

  #serveInTurns(): void {
    for (const [inbox, granted] of this.#waiting) {
      const short = inbox.grant()
      if (short === undefined) {
        this.#waiting.delete(inbox)
        granted()
      } else if (short !== 'name') {
        const budget = short === 'own' ? inbox.budget : this.#budget
        budget.contended = true
        this.#contended.add(budget)
        if (short === 'parent') return
      }
    }
  }
}
