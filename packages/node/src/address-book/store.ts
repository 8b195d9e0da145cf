/** Keeps an address book somewhere else than in a file: a database, a cloud. */
export interface AddressBookStore {
  /** What was saved last; `undefined` when nothing was. */
  load(): Promise<unknown>
  /** Keeps the book, a plain value fit for JSON, in place of the one before. Calls do not overlap. */
  save(book: unknown): Promise<void>
}

/** A store as the book uses it. */
export interface OpenableStore extends AddressBookStore {
  /** Once, when the node is done with it. Never rejects. */
  close(): Promise<void>
  /** What `load` gave cannot be read: puts it where nothing overwrites it, and says where. */
  setAside(): Promise<string>
}
