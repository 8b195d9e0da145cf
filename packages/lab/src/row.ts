/** What a row is given. */
export interface RowOptions {
  /**
   * What is not done after so many milliseconds has failed, and what lasts as long as it is given lasts no longer;
   * rows that have nothing to wait for ignore it.
   */
  readonly budget: number
  /** Chance begins here; the same seed causes the same faults. */
  readonly seed: number
  /** The short form, for the test command. */
  readonly short: boolean
  progress(text: string): void
}

/** What a row came to. */
export interface RowResult {
  readonly passed: boolean
  /** What was done and seen, in a line. */
  readonly figure: string
  /** What must not be, with what repeats it. */
  readonly failures: readonly string[]
  /** It could not run here, or not all of it, and why: it has not passed. */
  readonly notRun?: string
}

/** One line of the scoreboard. */
export interface Row {
  /** What is done. */
  readonly title: string
  /** What must be. */
  readonly wanted: string
  run(options: RowOptions): Promise<RowResult>
}
