import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { picture } from '../scripts/picture.ts'

test('the picture of the README is what its script makes', () => {
  expect(readFileSync(new URL('../docs/how-it-works.svg', import.meta.url), 'utf8')).toBe(picture())
})
