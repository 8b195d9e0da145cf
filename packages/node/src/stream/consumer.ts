/** What takes the messages of some names: an iterator, or a handler loop. */
export interface Consumer {
  /** Messages may be there. */
  wake(): void
  /** Takes nothing more. */
  end(): void
}
