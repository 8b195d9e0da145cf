import { stripVTControlCharacters } from 'node:util'

/** Tab, and every separator that looks like a space; U+2800 is a braille pattern without dots. */
const SPACES = /[\t\u2800[\p{Zs}--[ ]]]+/gv

/**
 * Characters that a terminal obeys or does not show: controls, formats (they turn the direction of text, or are tags),
 * private use, lone surrogates, line and paragraph separators, noncharacters, and fillers. Joiners and variation
 * selectors have rules of their own below.
 */
const UNPRINTABLE =
  /[[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}\p{Noncharacter_Code_Point}\p{Default_Ignorable_Code_Point}]--[\u200c\u200d\u180b-\u180d\u180f\ufe00-\ufe0f]]/gv

const JOINER = /^[\u200c\u200d]$/
/** What scripts and emoji join; a skin tone may come before the joiner. */
const JOINABLE = /^[\p{L}\p{M}\p{Extended_Pictographic}\p{Emoji_Modifier}]$/v
const SELECTOR = /^\p{Variation_Selector}$/v
const MARK = /^\p{M}$/v
/** Marks that are drawn above, below or around their base, and so into other lines when there are many. */
const STACKED = /^[\p{Mn}\p{Me}]$/v
/** Vietnamese needs two on one letter, Hebrew with cantillation four. */
const STACKED_MAX = 4

/**
 * A text from a remote, as one line of visible characters that a terminal does not obey.
 *
 * - Escape sequences and invisible characters are removed; any other space becomes a plain one.
 * - U+200C and U+200D remain only one at a time, and only between letters or emoji.
 * - A letter keeps four stacked marks. A mark without a letter is removed.
 */
export function printable(text: string): string {
  const characters = stripVTControlCharacters(text).replace(SPACES, ' ').replace(UNPRINTABLE, '')
  let result = ''
  let previous = ' '
  let joiner = ''
  /** Stacked on the present base. */
  let stacked = 0
  for (const character of characters) {
    if (JOINER.test(character)) {
      joiner ||= character
      continue
    }
    const isMark = MARK.test(character)
    if (isMark) {
      if (previous === ' ') continue // it would stand on what is printed before the text
      if (SELECTOR.test(character) && MARK.test(previous)) continue // it selects nothing
      if (STACKED.test(character) && ++stacked > STACKED_MAX) continue
    } else {
      stacked = 0
    }
    if (joiner !== '' && JOINABLE.test(previous) && JOINABLE.test(character)) result += joiner
    joiner = ''
    result += character
    previous = character
  }
  return result
}
