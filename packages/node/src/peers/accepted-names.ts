import { GlueberryError } from '../errors.ts'
import { budgetProblems } from '../options/flow-limits.ts'
import type { Settings } from '../options/settings.ts'

/** Names of the streams that this node accepts, from every peer. */
export class AcceptedNames {
  readonly #settings: Settings
  /** Another set after each change: a thousand sessions share one. */
  #names: ReadonlySet<string>

  constructor(settings: Settings) {
    this.#settings = settings
    this.#names = new Set(settings.streams)
  }

  /** It never changes; there is another one after `add` and `delete`. */
  get all(): ReadonlySet<string> {
    return this.#names
  }

  /**
   * Adds one. Returns false when it is there already.
   *
   * @throws GlueberryError `INVALID_STREAM` for one too many, `INVALID_OPTION` when the budgets do not suffice
   */
  add(stream: string): boolean {
    if (this.#names.has(stream)) return false
    const { flow, limits } = this.#settings
    const count = this.#names.size + 1
    if (count > limits.streams) {
      const text = `a node accepts at most limits.streams (${limits.streams}) names`
      throw new GlueberryError('INVALID_STREAM', text, { stream })
    }
    const [problem] = budgetProblems(flow, limits.messageSize, count)
    if (problem !== undefined) throw new GlueberryError('INVALID_OPTION', problem, { stream })
    this.#names = new Set([...this.#names, stream])
    return true
  }

  /** Returns false when it was not there. */
  delete(stream: string): boolean {
    if (!this.#names.has(stream)) return false
    this.#names = new Set([...this.#names].filter((name) => name !== stream))
    return true
  }
}
