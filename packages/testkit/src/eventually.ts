/** Looks again in every turn of the event loop until the condition holds: no time is guessed, the test's own limit ends it. */
export async function eventually(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise<void>((resolve) => setImmediate(resolve))
}
