import { GlueberryError } from '../errors.ts'

/** Memory that this node holds for a connection or session that is not established. */
export interface Holding {
  /** So many bytes more, or less. */
  add(bytes: number): void
  /** It is established, or gone. */
  release(): void
}

interface Holder {
  bytes: number
  known(): boolean
  drop(error: GlueberryError): void
}

/**
 * Memory that is held for everything that is not established: connections, sessions under way, renewals. One small
 * budget for all of them. When it is spent, the newest stranger gives way first.
 */
export class PendingMemory {
  readonly #max: number
  readonly #holders = new Set<Holder>()
  #used = 0

  constructor(max: number) {
    this.#max = max
  }

  /** Bytes that are held now. */
  get used(): number {
    return this.#used
  }

  /**
   * @param known whether this is a peer of ours, asked when memory is short
   * @param drop ends it
   */
  open(known: () => boolean, drop: (error: GlueberryError) => void): Holding {
    const holder: Holder = { bytes: 0, known, drop }
    this.#holders.add(holder)
    return {
      add: (bytes) => {
        if (!this.#holders.has(holder)) return
        holder.bytes += bytes
        this.#used += bytes
        if (bytes > 0) this.#makeRoom()
      },
      release: () => this.#remove(holder),
    }
  }

  #makeRoom(): void {
    while (this.#used > this.#max) {
      const holding = [...this.#holders].filter(({ bytes }) => bytes > 0).reverse()
      const victim = holding.find(({ known }) => !known()) ?? holding[0]
      if (victim === undefined) return
      this.#remove(victim)
      victim.drop(new GlueberryError('BUSY', 'this node holds too much for peers that are not yet established'))
    }
  }

  #remove(holder: Holder): void {
    if (!this.#holders.delete(holder)) return
    this.#used -= holder.bytes
  }
}
