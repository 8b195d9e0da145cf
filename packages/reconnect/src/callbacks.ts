import { ReconnectError } from './errors.ts'

// Functions of the user: what they throw or return must change nothing here.

/** What the user's own function says, or why it is not to be used. */
export function ownDelay(delay: () => unknown): number | ReconnectError {
  try {
    const milliseconds = delay()
    if (typeof milliseconds === 'number' && milliseconds >= 0) return milliseconds
    return new ReconnectError(
      'INVALID_DELAY',
      `delay must return milliseconds of at least 0, got ${textOf(milliseconds)}`,
    )
  } catch (cause) {
    return new ReconnectError('INVALID_DELAY', `delay has thrown: ${textOf(cause)}`, { cause })
  }
}

/** What a value says, whatever it is: the user's function may return or throw anything, and this never throws. */
function textOf(value: unknown): string {
  try {
    return String(value instanceof Error ? value.message : value)
  } catch {
    return `a value that has no text, of type ${typeof value}`
  }
}

/** What a callback says; `otherwise` when it throws, which is somebody else's to see. */
export function guarded<T>(callback: () => T, otherwise: T): T {
  try {
    return callback()
  } catch (error) {
    throwLater(error)
    return otherwise
  }
}

/** Throws it where nothing of ours is under way. */
export function throwLater(error: unknown): void {
  queueMicrotask(() => {
    throw error
  })
}
