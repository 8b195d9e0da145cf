/** Chance that repeats: numbers from 0 to below 1, the same for the same seed (mulberry32, by Tommy Ettinger, public domain). */
export function chance(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/**
 * Runs a test with chance of a new seed, or of that in GLUEBERRY_SEED. When it fails, the error says which it was, so
 * that the same faults can be caused again.
 */
export async function withChance(run: (random: () => number) => Promise<void>): Promise<void> {
  const given = process.env['GLUEBERRY_SEED']
  const seed = given === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(given)
  try {
    await run(chance(seed))
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause)
    throw new Error(`with GLUEBERRY_SEED=${seed}: ${text}`, { cause })
  }
}
