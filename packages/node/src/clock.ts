/** Something that was started and can be called off; calling it off twice, or late, does nothing. */
export interface Cancellable {
  cancel(): void
}

/** All time and chance in this package: nothing else reads a clock, sets a timer or throws dice. A test puts its own in place. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number
  /** Milliseconds since some moment: monotonic, whatever happens to the machine's clock. */
  elapsed(): number
  /** Runs `task` once, `delay` milliseconds from now. */
  setTimer(task: () => void, delay: number): Cancellable
  /** Runs `task` in the next turn of the event loop. */
  setImmediate(task: () => void): void
  /** `length` random bytes, fit for secrets. */
  randomBytes(length: number): Uint8Array
}

/** The longest delay that a Node timer takes; a longer one would fire at once. */
const LONGEST = 2 ** 31 - 1

/** The machine's own time and chance. */
export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  setTimer(task, delay) {
    let timer: NodeJS.Timeout
    const arm = (left: number): void => {
      timer = left > LONGEST ? setTimeout(() => arm(left - LONGEST), LONGEST) : setTimeout(task, left)
    }
    arm(delay)
    return { cancel: () => clearTimeout(timer) }
  },
  setImmediate: (task) => void setImmediate(task),
  randomBytes: (length) => globalThis.crypto.getRandomValues(new Uint8Array(length)),
}

/** A signal that aborts after `delay` milliseconds, with what `reason` makes; `cancel` it when it is no longer needed. */
export function deadline(
  clock: Clock,
  delay: number,
  reason: () => Error,
): Cancellable & { readonly signal: AbortSignal } {
  const controller = new AbortController()
  const timer = clock.setTimer(() => controller.abort(reason()), delay)
  return { signal: controller.signal, cancel: () => timer.cancel() }
}
