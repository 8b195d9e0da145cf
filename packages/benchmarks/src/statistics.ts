/** The value below which so much of them lies. */
export function percentile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] as number
}

export const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)

export const median = (values: readonly number[]): number => percentile(values, 0.5)
