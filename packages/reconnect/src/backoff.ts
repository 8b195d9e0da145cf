/** How long to wait before each attempt. Durations are milliseconds. */
export interface BackoffOptions {
  /** Before the first attempt after a loss. Default 0: at once. */
  readonly firstDelay?: number
  /** Before the second one. Default 1 s. */
  readonly baseDelay?: number
  /** By how much each further wait is longer than the one before. Default 2. */
  readonly factor?: number
  /** The longest wait. Default 5 min. */
  readonly maxDelay?: number
  /**
   * What chance does to every wait but the first: `'full'` takes any part of it, so that many who lost the same thing
   * do not come back together (AWS, "Exponential Backoff And Jitter"), `'none'` takes all of it, and a number from 0 to
   * 1 takes ± so much of it (0.2 is ± 20 %). Default `'full'`.
   */
  readonly jitter?: 'full' | 'none' | number
}

/**
 * The wait before an attempt, in milliseconds; attempts count from 1.
 *
 * @param random gives a number from 0 to below 1
 * @throws RangeError that names what is wrong
 */
export function backoff(options: BackoffOptions, random: () => number): (attempt: number) => number {
  const { firstDelay = 0, baseDelay = 1000, factor = 2, maxDelay = 300_000, jitter = 'full' } = options
  for (const [name, value, min] of [
    ['firstDelay', firstDelay, 0],
    ['baseDelay', baseDelay, 0],
    ['factor', factor, 1],
    ['maxDelay', maxDelay, 0],
  ] as const) {
    if (!(value >= min && Number.isFinite(value)))
      throw new RangeError(`${name} must be a number of at least ${min}, got ${String(value)}`)
  }
  if (jitter !== 'full' && jitter !== 'none' && !(typeof jitter === 'number' && jitter >= 0 && jitter <= 1))
    throw new RangeError(`jitter must be 'full', 'none' or a number from 0 to 1, got ${String(jitter)}`)
  return (attempt) => {
    if (attempt <= 1) return firstDelay
    const grown = baseDelay === 0 ? 0 : baseDelay * factor ** (attempt - 2)
    const full = Math.min(maxDelay, grown)
    if (jitter === 'none') return full
    if (jitter === 'full') return random() * full
    return Math.min(maxDelay, full * (1 + jitter * (2 * random() - 1)))
  }
}
