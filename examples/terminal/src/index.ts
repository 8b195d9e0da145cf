/** What the examples share. */

export { printable } from './printable.ts'
