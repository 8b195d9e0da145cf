import { type Clock, systemClock } from '../../src/clock.ts'
import { type Platform, systemPlatform } from '../../src/platform.ts'

/** The machine's own time, but for timers of one delay: these fire when a test says so, however slow the machine is. */
export class HandClock {
  readonly platform: Platform
  readonly #waiting = new Set<() => void>()

  constructor(byHand: number) {
    const clock: Clock = {
      ...systemClock,
      setTimer: (task, delay) => {
        if (delay !== byHand) return systemClock.setTimer(task, delay)
        this.#waiting.add(task)
        return { cancel: () => void this.#waiting.delete(task) }
      },
    }
    this.platform = { ...systemPlatform, clock }
  }

  /** How many such timers are set. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** Lets every such timer that is set now fall due. */
  fire(): void {
    for (const task of [...this.#waiting]) {
      this.#waiting.delete(task)
      task()
    }
  }
}
