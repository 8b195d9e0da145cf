import { GlueberryError } from '../errors.ts'
import { budgetProblems, firstWindow } from '../options/flow-limits.ts'
import type { Settings } from '../options/settings.ts'
import type { Budget } from '../stream/budget.ts'
import type { Receiver } from '../stream/receiver.ts'

/** Names of the streams that this node accepts, from every peer. */
export class AcceptedNames {
  readonly #settings: Settings
  readonly #budget: Budget
  readonly #names: Set<string>

  /** @param budget what is held and promised for all peers */
  constructor(settings: Settings, budget: Budget) {
    this.#settings = settings
    this.#budget = budget
    this.#names = new Set(settings.streams)
  }

  get all(): ReadonlySet<string> {
    return this.#names
  }

  /**
   * Adds one, for which these receivers must have room. Returns false when it is there already.
   *
   * @throws GlueberryError `INVALID_STREAM` for one too many, `INVALID_OPTION` when the budgets do not suffice
   */
  add(stream: string, receivers: readonly Receiver[]): boolean {
    if (this.#names.has(stream)) return false
    const { flow, limits } = this.#settings
    const count = this.#names.size + 1
    if (count > limits.streams) {
      const text = `a node accepts at most limits.streams (${limits.streams}) names`
      throw new GlueberryError('INVALID_STREAM', text, { stream })
    }
    const [problem] = budgetProblems(flow, limits.messageSize, count)
    if (problem !== undefined) throw new GlueberryError('INVALID_OPTION', problem, { stream })
    const connected = receivers.filter((receiver) => receiver.hasSession)
    const needed = firstWindow(this.#settings, count) * connected.length
    if (needed > this.#budget.left || connected.some((receiver) => !receiver.hasRoomForName)) {
      const text =
        'flow.peerBudget and flow.nodeBudget do not leave room for one more name of the peers that are connected'
      throw new GlueberryError('INVALID_OPTION', text, { stream })
    }
    this.#names.add(stream)
    return true
  }

  /** Returns false when it was not there. */
  delete(stream: string): boolean {
    return this.#names.delete(stream)
  }
}
