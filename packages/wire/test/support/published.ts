import { existsSync, readFileSync } from 'node:fs'
import { describe } from 'vitest'

const folder = new URL('../../../../../shared/vectors/', import.meta.url)

/** A suite on a file of vectors that others published; they lie beside the checkout, not in it. */
export function describePublished<T>(file: string, suite: (vectors: T) => void): void {
  const url = new URL(file, folder)
  if (existsSync(url)) describe(file, () => suite(JSON.parse(readFileSync(url, 'utf8')) as T))
  else describe.skip(`${file} (skipped: not beside this checkout in shared/vectors)`, () => suite({} as T))
}
