import { stripVTControlCharacters } from 'node:util'

// C0 and C1 controls (escape among them), DEL, line and paragraph separators, and what turns the direction of text:
// none of these may reach a terminal from somebody else.
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the very characters to remove
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g

/** A text from somebody else, as one line without anything that a terminal would obey. */
export function printable(text: string): string {
  return stripVTControlCharacters(text).replace(/\t/g, ' ').replace(UNPRINTABLE, '')
}
