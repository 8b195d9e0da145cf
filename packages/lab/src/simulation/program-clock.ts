import type { SimulatedClock } from '@glueberry/testkit'
import type { Cancellable, Clock } from '../../../node/src/clock.ts'

/** The clock of one program: shared time, chance of its own, and an end. */
export class ProgramClock implements Clock {
  readonly #shared: SimulatedClock
  readonly #random: () => number
  #timers = 0
  dead = false

  constructor(shared: SimulatedClock, random: () => number) {
    this.#shared = shared
    this.#random = random
  }

  /** Timers that are set. */
  get timers(): number {
    return this.#timers
  }

  /** The program is gone: nothing of it runs any more. */
  kill(): void {
    this.dead = true
  }

  now(): number {
    return this.#shared.now()
  }

  elapsed(): number {
    return this.#shared.elapsed()
  }

  setTimer(task: () => void, delay: number): Cancellable {
    let set = true
    this.#timers++
    const done = (): void => {
      if (set) this.#timers--
      set = false
    }
    const timer = this.#shared.setTimer(() => {
      done()
      if (!this.dead) task()
    }, delay)
    return {
      cancel: () => {
        done()
        timer.cancel()
      },
    }
  }

  setImmediate(task: () => void): void {
    this.#shared.setImmediate(() => {
      if (!this.dead) task()
    })
  }

  randomBytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => Math.floor(256 * this.#random()))
  }
}
