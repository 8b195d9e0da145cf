/**
 * Characters that a terminal or a log would obey, or that cannot be seen: controls (escape among them), format characters
 * (those that turn the direction of text, zero-width ones, tags), private ones, halves of pairs, line separators.
 * Joiners (U+200C, U+200D) stay: scripts and emoji need them.
 */
const UNPRINTABLE = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu

/** A text that a remote has written, as one line that shows what is in it and does nothing else. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, '\ufffd')
}
