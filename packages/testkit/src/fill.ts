/** A sender that asked for credit has it after so many turns of the event loop, if it gets any. */
const QUIET = 300

/** Calls `accept` until it returns false and goes on doing so: how often it returned true. */
export async function fill(accept: () => boolean): Promise<number> {
  let count = 0
  for (let quiet = 0; quiet < QUIET; quiet++) {
    while (accept()) {
      count++
      quiet = 0
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
  return count
}
