interface Timer {
  readonly due: number
  readonly order: number
  readonly task: () => void
}

/** Time that passes only when told to, and chance that repeats; has the shape of the node's clock. */
export class SimulatedClock {
  #now = 1_000_000
  #order = 0
  #random = 1
  readonly #timers = new Set<Timer>()
  #immediates: (() => void)[] = []

  /** Timers that are set and not yet due. */
  get pending(): number {
    return this.#timers.size
  }

  now(): number {
    return this.#now
  }

  elapsed(): number {
    return this.#now
  }

  setTimer(task: () => void, delay: number): { cancel(): void } {
    const timer = { due: this.#now + delay, order: this.#order++, task }
    this.#timers.add(timer)
    return { cancel: () => void this.#timers.delete(timer) }
  }

  setImmediate(task: () => void): void {
    this.#immediates.push(task)
  }

  randomBytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => {
      this.#random = (this.#random * 1_103_515_245 + 12_345) % 2 ** 31
      return this.#random & 0xff
    })
  }

  /** Lets time pass, running what falls due in its order. */
  advance(milliseconds: number): void {
    const end = this.#now + milliseconds
    for (;;) {
      const next = this.#nextUntil(end)
      if (next !== undefined && next.due <= this.#now) {
        this.#timers.delete(next)
        next.task()
      } else if (this.#immediates.length > 0) {
        for (const task of this.#immediates.splice(0)) task()
      } else if (next !== undefined) {
        this.#now = next.due
      } else {
        break
      }
    }
    this.#now = end
  }

  /**
   * The same, but lets promises settle after each: for whole programs, which await.
   * `until` ends it early.
   */
  async pass(milliseconds: number, until: () => boolean = () => false): Promise<void> {
    const end = this.#now + milliseconds
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve)) // every promise that can settle has then settled
      if (until()) return
      if (this.#immediates.length > 0) {
        for (const task of this.#immediates.splice(0)) task()
        continue
      }
      const next = this.#nextUntil(end)
      if (next === undefined) break
      this.#timers.delete(next)
      this.#now = Math.max(this.#now, next.due)
      next.task()
    }
    this.#now = end
  }

  /** The machine stands still: time passes, and nothing runs until the next `advance`. */
  stall(milliseconds: number): void {
    this.#now += milliseconds
  }

  /** The timer that falls due first, by then. */
  #nextUntil(end: number): Timer | undefined {
    let first: Timer | undefined
    for (const timer of this.#timers) {
      if (timer.due > end) continue
      const earlier = first === undefined || timer.due < first.due
      if (earlier || (timer.due === first?.due && timer.order < first.order)) first = timer
    }
    return first
  }
}
