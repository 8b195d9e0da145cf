import type { Cancellable, Clock } from '../clock.ts'
import type { PeerId } from '../peer-id.ts'
import type { PeerStats } from './stats.ts'

/** How long statistics of a peer that is gone are kept, in milliseconds. */
const KEPT = 3_600_000
/** And of how many peers at most. */
const KEPT_MAX = 10_000

/** Statistics of peers that are gone: dropped after an hour, or handed on when the peer comes back. */
export class Departed {
  readonly #clock: Clock
  /** In the order in which they went. */
  readonly #stats = new Map<PeerId, { readonly stats: PeerStats; readonly until: number }>()
  #timer: Cancellable | undefined // until the first of them is to be dropped

  constructor(clock: Clock) {
    this.#clock = clock
  }

  put(peerId: PeerId, stats: PeerStats): void {
    this.#stats.delete(peerId)
    this.#stats.set(peerId, { stats, until: this.#clock.elapsed() + KEPT })
    if (this.#stats.size > KEPT_MAX) this.#stats.delete(this.#stats.keys().next().value as PeerId)
    this.#schedule()
  }

  get(peerId: PeerId): PeerStats | undefined {
    return this.#stats.get(peerId)?.stats
  }

  /** What the peer had, for it to go on from there. */
  take(peerId: PeerId): PeerStats | undefined {
    const stats = this.get(peerId)
    this.#stats.delete(peerId)
    return stats
  }

  *entries(): Generator<[PeerId, PeerStats]> {
    for (const [peerId, { stats }] of this.#stats) yield [peerId, stats]
  }

  /** Leaves no timer; what is there can still be read. */
  close(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }

  #schedule(): void {
    const [first] = this.#stats.values()
    if (first === undefined || this.#timer !== undefined) return
    this.#timer = this.#clock.setTimer(() => this.#drop(), Math.max(0, first.until - this.#clock.elapsed()))
  }

  #drop(): void {
    this.#timer = undefined
    for (const [peerId, { until }] of this.#stats) {
      if (until > this.#clock.elapsed()) break
      this.#stats.delete(peerId)
    }
    this.#schedule()
  }
}
