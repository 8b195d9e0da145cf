import type { Cancellable, Clock } from '../clock.ts'
import { LinkedList, type ListNode } from '../linked-list.ts'

/** Between two dials of peers that were not just lost, in milliseconds: a thousand dead entries of a book cost no more than ten. */
const SPACING = 10

/**
 * How urgent a dial is: a caller waits for it; the peer was just lost; it was here since the start, and is tried on; or
 * it is one of many of which nothing is known.
 */
export type Urgency = 'asked' | 'lost' | 'seen' | 'background'

/** One dial that waits or is under way. */
export interface Turn {
  readonly urgency: Urgency
  /** A caller waits for it now. */
  hurry(): void
  /** It is over, or not wanted any more. */
  end(): void
}

interface Waiting {
  readonly begin: () => void
}

/**
 * Gives each dial its turn. What a caller asks for begins at once. Of all others only some are under way at a time;
 * peers that were just lost come first; those that were here take turns with those of which nothing is known, and these
 * begin one after another.
 */
export class Dials {
  readonly #clock: Clock
  readonly #max: number
  readonly #lost = new LinkedList<Waiting>()
  readonly #seen = new LinkedList<Waiting>()
  #seenLast = false // the one before was of those that were here: the others have their turn
  readonly #background = new LinkedList<Waiting>()
  #underWay = 0 // but for those that a caller asked for
  #timer: Cancellable | undefined // until the next one of the background may begin
  #next = 0 // when that is, by `clock.elapsed`

  constructor(clock: Clock, max: number) {
    this.#clock = clock
    this.#max = max
  }

  /** Dials that wait for their turn. */
  get waiting(): number {
    return this.#lost.size + this.#seen.size + this.#background.size
  }

  /** Calls `begin` when it is this dial's turn, at once if it can. */
  take(urgency: Urgency, begin: () => void): Turn {
    let state: 'waiting' | 'counted' | 'asked' | 'over' = 'waiting'
    let place: { readonly list: LinkedList<Waiting>; readonly node: ListNode<Waiting> } | undefined
    const start = (as: 'counted' | 'asked'): void => {
      state = as
      place = undefined
      if (as === 'counted') this.#underWay++
      begin()
    }
    if (urgency === 'asked') start('asked')
    else {
      const list = { lost: this.#lost, seen: this.#seen, background: this.#background }[urgency]
      place = { list, node: list.push({ begin: () => start('counted') }) }
      this.#begin()
    }
    return {
      urgency,
      hurry: () => {
        if (state !== 'waiting' || place === undefined) return
        place.list.remove(place.node)
        start('asked')
      },
      end: () => {
        place?.list.remove(place.node)
        if (state === 'counted') this.#underWay--
        state = 'over'
        this.#begin()
      },
    }
  }

  /** Leaves no timer. */
  close(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }

  #begin(): void {
    while (this.#underWay < this.#max) {
      const lost = this.#lost.shift()
      if (lost !== undefined) {
        lost.begin()
        continue
      }
      if (!this.#seen.empty && !(this.#seenLast && !this.#background.empty)) {
        this.#seenLast = true
        this.#seen.shift()?.begin()
        continue
      }
      if (this.#background.empty || this.#timer !== undefined) return
      const left = this.#next - this.#clock.elapsed()
      if (left > 0) {
        this.#timer = this.#clock.setTimer(() => {
          this.#timer = undefined
          this.#begin()
        }, left)
        return
      }
      this.#next = this.#clock.elapsed() + SPACING
      this.#seenLast = false
      this.#background.shift()?.begin()
    }
  }
}
