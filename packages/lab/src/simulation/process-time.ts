import type { SimulatedClock } from '@glueberry/testkit'

/** What is replaced. */
const { setTimeout, clearTimeout, setInterval } = globalThis
const now = Date.now
const timeout = AbortSignal.timeout

/**
 * Puts the global clock and timers of this thread on simulated time until it is disposed of: libp2p's packages use
 * these, not the clock of a node.
 */
export function simulateProcessTime(clock: SimulatedClock): Disposable {
  class Timer {
    readonly cancel: () => void

    constructor(task: () => void, delay: number) {
      this.cancel = clock.setTimer(task, delay).cancel
    }

    ref(): this {
      return this
    }

    unref(): this {
      return this
    }
  }
  Object.assign(globalThis, {
    setTimeout: (task: (...args: unknown[]) => void, delay = 0, ...args: unknown[]) =>
      new Timer(() => task(...args), delay),
    clearTimeout: (timer: unknown) => (timer instanceof Timer ? timer.cancel() : undefined),
    setInterval: () => {
      throw new Error('the simulation has no intervals')
    },
  })
  Date.now = () => Math.floor(clock.now())
  AbortSignal.timeout = (delay) => {
    const controller = new AbortController()
    clock.setTimer(() => controller.abort(new DOMException('timed out', 'TimeoutError')), delay)
    return controller.signal
  }
  return {
    [Symbol.dispose]() {
      Object.assign(globalThis, { setTimeout, clearTimeout, setInterval })
      Date.now = now
      AbortSignal.timeout = timeout
    },
  }
}
