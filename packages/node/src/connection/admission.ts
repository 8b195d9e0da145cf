import type { Cancellable, Clock } from '../clock.ts'
import { GlueberryError } from '../errors.ts'
import type { AdmissionSlot } from '../transport.ts'

export interface AdmissionOptions {
  readonly clock: Clock
  /** Inbound connections that are not yet established, at most. */
  readonly max: number
  /** The same, from one origin. */
  readonly maxPerOrigin: number
  /** How long one may take until a session begins on it, in milliseconds; the session has a time-out of its own. */
  readonly timeout: number
}

/** Who was dropped to make room makes nobody else go for so long, in milliseconds. */
const DROPPED = 5000
/** Origins that are remembered, of each kind; the earliest goes first. */
const ORIGINS = 4096

interface Pending {
  readonly origin: string
  drop(): void
}

/**
 * Counts inbound connections from the first byte until they are established. When all places are taken, a newcomer gets the
 * place of the one that has held it longest: an honest peer needs its place for some milliseconds, who wants to shut
 * others out must hold it. Origins of peers that are known go last and come first.
 */
export class Admission {
  readonly #options: AdmissionOptions
  /** The oldest first. */
  readonly #pending = new Set<Pending>()
  readonly #perOrigin = new Map<string, number>()
  readonly #known = new Map<string, true>()
  /** Origins whose connection was dropped, and until when that counts. */
  readonly #dropped = new Map<string, number>()

  constructor(options: AdmissionOptions) {
    this.#options = options
  }

  /** A peer that we know is there. */
  know(origin: string): void {
    remember(this.#known, origin, true)
    this.#dropped.delete(origin)
  }

  /** A place for one more from there, which is aborted when it takes too long or others need it more; `undefined` when there is none. */
  admit(origin: string, abort: (error: Error) => void): AdmissionSlot | undefined {
    const { clock, max, maxPerOrigin, timeout } = this.#options
    if ((this.#perOrigin.get(origin) ?? 0) >= maxPerOrigin) return undefined
    if (this.#pending.size >= max && !this.#makeRoom(origin)) return undefined
    let timer: Cancellable | undefined = clock.setTimer(() => {
      abort(
        new GlueberryError('HANDSHAKE_TIMEOUT', `a connection from ${origin} began no session within ${timeout} ms`),
      )
    }, timeout)
    const stopTimer = (): void => {
      timer?.cancel()
      timer = undefined
    }
    const release = (): void => {
      stopTimer()
      if (this.#pending.delete(pending)) this.#left(origin)
    }
    const pending: Pending = {
      origin,
      drop: () => {
        release()
        abort(new GlueberryError('BUSY', `a connection from ${origin} was dropped: too many were not yet established`))
      },
    }
    this.#pending.add(pending)
    this.#perOrigin.set(origin, (this.#perOrigin.get(origin) ?? 0) + 1)
    return {
      sessionBegan: stopTimer,
      established: () => {
        release()
        this.know(origin)
      },
      release,
    }
  }

  #makeRoom(newcomer: string): boolean {
    const known = this.#known.has(newcomer)
    const now = this.#options.clock.elapsed()
    if (!known && (this.#dropped.get(newcomer) ?? 0) > now) return false
    const oldest = this.#oldestStranger() ?? (known ? this.#pending.values().next().value : undefined)
    if (oldest === undefined) return false
    remember(this.#dropped, oldest.origin, now + DROPPED)
    oldest.drop()
    return true
  }

  #oldestStranger(): Pending | undefined {
    for (const pending of this.#pending) if (!this.#known.has(pending.origin)) return pending
    return undefined
  }

  #left(origin: string): void {
    const count = (this.#perOrigin.get(origin) ?? 1) - 1
    if (count === 0) this.#perOrigin.delete(origin)
    else this.#perOrigin.set(origin, count)
  }
}

function remember<V>(map: Map<string, V>, key: string, value: V): void {
  map.delete(key)
  map.set(key, value)
  if (map.size > ORIGINS) map.delete(map.keys().next().value as string)
}
