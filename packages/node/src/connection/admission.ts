import type { Cancellable, Clock } from '../clock.ts'
import { GlueberryError } from '../errors.ts'
import type { PendingMemory } from '../limits/pending-memory.ts'
import type { AdmissionSlot } from '../transport/transport.ts'

export interface AdmissionOptions {
  readonly clock: Clock
  /** Inbound connections that are not yet established, at most. */
  readonly max: number
  /** The same, from one origin. */
  readonly maxPerOrigin: number
  /** What is held for them. */
  readonly memory: PendingMemory
  /** How long one may take until a session begins on it, in milliseconds; the session has a time-out of its own. */
  readonly timeout: number
}

/** An origin that lost a place to a newcomer takes nobody else's place for so long, in milliseconds. */
const DROPPED = 5000
/** An honest peer's place is not taken by its neighbour or a friend within this time, in milliseconds. */
const YOUNG = 1000
/** Origins that are remembered, of each kind; the earliest goes first. */
const ORIGINS = 4096

interface Pending {
  readonly origin: string
  readonly since: number
  drop(): void
}

/**
 * Counts inbound connections from the first byte until they are established. When all places are taken, a newcomer gets
 * one of the origin that holds most, the oldest: an honest peer needs its place for some milliseconds, who wants to shut
 * others out must hold many. Origins where a peer of ours is said to be go last and come first.
 */
export class Admission {
  readonly #options: AdmissionOptions
  /** Of each origin, the oldest first. */
  readonly #pending = new Map<string, Set<Pending>>()
  #count = 0
  readonly #known = new Map<string, true>()
  /** Origins that lost a place, and until when that counts. */
  readonly #dropped = new Map<string, number>()

  constructor(options: AdmissionOptions) {
    this.#options = options
  }

  /** A peer of ours may come from there. */
  know(origin: string): void {
    remember(this.#known, origin, true)
  }

  /** A place for one more from there, which is aborted when it takes too long or others need it more; `undefined` when there is none. */
  admit(origin: string, abort: (error: Error) => void): AdmissionSlot | undefined {
    const { clock, max, maxPerOrigin, timeout } = this.#options
    const own = this.#pending.get(origin)
    if (own !== undefined && own.size >= maxPerOrigin && !this.#drop(oldest(own), YOUNG)) return undefined
    if (this.#count >= max && !this.#makeRoom(origin)) return undefined
    let timer: Cancellable | undefined = clock.setTimer(() => {
      abort(
        new GlueberryError('HANDSHAKE_TIMEOUT', `a connection from ${origin} began no session within ${timeout} ms`),
      )
    }, timeout)
    const holding = this.#options.memory.open(
      () => this.#known.has(origin),
      (error) => {
        release()
        abort(error)
      },
    )
    const stopTimer = (): void => {
      timer?.cancel()
      timer = undefined
    }
    const release = (): void => {
      stopTimer()
      holding.release()
      this.#leave(pending)
    }
    const pending: Pending = {
      origin,
      since: clock.elapsed(),
      drop: () => {
        release()
        abort(new GlueberryError('BUSY', `a connection from ${origin} was dropped: too many were not yet established`))
      },
    }
    this.#enter(pending)
    return { sessionBegan: stopTimer, hold: (bytes) => holding.add(bytes), release }
  }

  #makeRoom(newcomer: string): boolean {
    const known = this.#known.has(newcomer)
    if (!known && (this.#dropped.get(newcomer) ?? 0) > this.#options.clock.elapsed()) return false
    const stranger = oldest(this.#largest((origin) => !this.#known.has(origin)))
    if (stranger !== undefined) return this.#drop(stranger, 0)
    // A known peer for another one, or for a stranger: a connection that is still young keeps its place.
    return this.#drop(oldest(this.#largest(() => true)), YOUNG)
  }

  /** Whether it was old enough to be dropped. */
  #drop(pending: Pending | undefined, age: number): boolean {
    const now = this.#options.clock.elapsed()
    if (pending === undefined || now - pending.since < age) return false
    remember(this.#dropped, pending.origin, now + DROPPED)
    pending.drop()
    return true
  }

  /** Of these origins, the places of the one that holds most; among equals, of the one that holds the oldest. */
  #largest(of: (origin: string) => boolean): Set<Pending> | undefined {
    let largest: Set<Pending> | undefined
    for (const [origin, places] of this.#pending) {
      if (!of(origin)) continue
      const [size, most] = [places.size, largest?.size ?? 0]
      if (size > most || (size === most && since(places) < since(largest as Set<Pending>))) largest = places
    }
    return largest
  }

  #enter(pending: Pending): void {
    const places = this.#pending.get(pending.origin)
    if (places === undefined) this.#pending.set(pending.origin, new Set([pending]))
    else places.add(pending)
    this.#count++
  }

  #leave(pending: Pending): void {
    const places = this.#pending.get(pending.origin)
    if (places?.delete(pending) !== true) return
    this.#count--
    if (places.size === 0) this.#pending.delete(pending.origin)
  }
}

function oldest(places: Set<Pending> | undefined): Pending | undefined {
  return places?.values().next().value
}

/** Since when the oldest of them has been held. */
function since(places: Set<Pending>): number {
  return oldest(places)?.since as number
}

function remember<V>(map: Map<string, V>, key: string, value: V): void {
  map.delete(key)
  map.set(key, value)
  if (map.size > ORIGINS) map.delete(map.keys().next().value as string)
}
