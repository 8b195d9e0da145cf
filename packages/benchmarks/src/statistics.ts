import { percentile } from '@glueberry/testkit'

export const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)

export const median = (values: readonly number[]): number => percentile(values, 0.5)
