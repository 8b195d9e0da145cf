import { LinkedList } from './linked-list.ts'

interface Taker<T> {
  resolve(value: T): void
  reject(error: unknown): void
}

/** Calls that wait for a value of one source, in the order in which they came. */
export class Takers<T> {
  readonly #take: () => T | undefined
  readonly #waiting = new LinkedList<Taker<T>>()

  /** @param take the source's next value, if it has one now */
  constructor(take: () => T | undefined) {
    this.#take = take
  }

  /** The next value: at once where there is one, otherwise when `wake` finds it. */
  next(): Promise<T> {
    const value = this.#waiting.empty ? this.#take() : undefined
    if (value !== undefined) return Promise.resolve(value)
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }))
  }

  /** The source may have values. */
  wake(): void {
    while (!this.#waiting.empty) {
      const value = this.#take()
      if (value === undefined) return
      this.#waiting.shift()?.resolve(value)
    }
  }

  /** The source has failed: those that wait get this error. */
  fail(error: unknown): void {
    for (const { reject } of this.#waiting.drain()) reject(error)
  }
}
