import type { Logger } from '../../observe/logger.ts'

/** What this library changes inside libp2p's packages, and what is lost where that is not possible. */
const EFFECTS = {
  'gathered writes': 'each encrypted frame is three writes to its socket',
  'reads in turns': 'one busy socket is read for 2 MiB before anything else has its turn',
  'halved window updates': 'each frame that comes is answered with one',
  'wide windows': 'a stream begins with the small window of yamux',
  'noise buffers': 'what Noise has decrypted is copied once more',
  'early streams': 'a stream waits a round trip before its first bytes',
  'frame lengths': 'an error is made and caught after each frame of Noise',
  'connection list': 'each new connection costs more, with the square of how many there are',
  'exit timer': 'the process may live a second longer than its node',
} as const

export type Change = keyof typeof EFFECTS

/**
 * Which of the changes apply. Each relies on what libp2p's packages do not export, and looks for it before it acts:
 * with other versions the node works on without that change, and says so.
 */
export class Changes {
  readonly #logger: Logger
  readonly #missing = new Set<Change>()

  constructor(logger: Logger) {
    this.#logger = logger
  }

  /** Those that do not fit the versions in use. */
  get missing(): readonly Change[] {
    return [...this.#missing]
  }

  /** This one does not fit: told once. */
  miss(change: Change): void {
    if (this.#missing.has(change)) return
    this.#missing.add(change)
    this.#logger.warn('a change to libp2p does not fit the version in use', { change, effect: EFFECTS[change] })
  }
}
