/** How far behind the newest a number may come, in numbers. */
const SIZE = 256

/** Numbers of data streams that may come out of order: each once, none that is too old. */
export class NumberWindow {
  #highest = -1
  readonly #seen = new Set<number>()

  /** Whether the number is new; it is not a second time. */
  accept(number: number): boolean {
    if (number <= this.#highest - SIZE || this.#seen.has(number)) return false
    this.#seen.add(number)
    if (number > this.#highest) {
      this.#highest = number
      for (const each of this.#seen) if (each <= number - SIZE) this.#seen.delete(each)
    }
    return true
  }
}
