import type { Clock } from '../clock.ts'
import { GlueberryError } from '../errors.ts'
import { FileStore } from './file-store.ts'
import type { AddressBookStore, OpenableStore } from './store.ts'

/** What the option `addressBook` stands for. */
export function openStore(
  option: string | AddressBookStore | undefined,
  clock: Clock,
  report: (error: GlueberryError) => void,
): OpenableStore | undefined {
  if (option === undefined) return undefined
  if (typeof option === 'string') return new FileStore(option, clock, report)
  return {
    load: () => option.load(),
    save: (book) => option.save(book),
    close: async () => {},
    setAside: async () => {
      throw new GlueberryError('ADDRESS_BOOK', 'what the store loaded is no address book', {
        hint: 'it must give what it was told to save last, or undefined',
      })
    },
  }
}
