import { nextTick } from 'node:process'
import type { Clock } from '../clock.ts'
import { LinkedList } from '../linked-list.ts'

/**
 * Work goes on for so long at a time, in milliseconds; then timers, sockets and the others have their turn. That is more
 * than what some dozens of busy sockets bring in a turn (`ReadTurns`): a slice that ends in the midst of that gives
 * nobody a turn, and lets what is read meanwhile grow old in memory.
 */
const SLICE = 50
/** After so many messages at the latest the time is looked at: before a slice has begun, and in it. */
const [FIRST_LOOK, LOOK_EVERY] = [16, 256]
/** A message that takes longer is slow, in milliseconds: after it the time is looked at again. */
const SLOW = SLICE / LOOK_EVERY

/** Calls when no microtask is left. `nextTick` alone does so only from within a microtask: otherwise ticks go first. */
function afterMicrotasks(callback: () => void): void {
  queueMicrotask(() => nextTick(callback))
}

/**
 * Shares the event loop among those that have many messages to work on at once: readers, handlers, iterators. All of
 * them together work for one slice in each turn of the event loop. Those that are not done then go first in the next one,
 * in turn.
 */
export class LoopShare {
  readonly #clock: Clock
  readonly #waiting = new LinkedList<{ readonly worker: object; resume(): void }>()
  #turn: object | undefined // the worker that was resumed last, until the next one is
  #ends = 0 // of the slice in progress, by `clock.elapsed`
  #inSlice = false // until the next turn of the event loop
  #turnComes = false // a turn is scheduled
  #messages = 0 // since the time was looked at
  #lookAfter = FIRST_LOOK
  #looked = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** So many messages were worked on. Returns whether the slice is over: then the caller waits for its turn. */
  worked(messages = 1): boolean {
    this.#messages += messages
    return this.#messages >= this.#lookAfter && this.#look()
  }

  /**
   * Whether a worker that brings messages waits behind others: unless it has waited itself. One that takes messages does
   * not: the sooner they are taken, the less they cost.
   */
  crowded(worker: object): boolean {
    return !this.#waiting.empty && this.#turn !== worker
  }

  /**
   * Resolves when everyone who was woken has run. A reader that brings more before the application has taken what is
   * there makes messages that live long enough to be moved by the garbage collector: twice the CPU with 16 peers.
   */
  pause(): Promise<void> {
    return new Promise(afterMicrotasks)
  }

  /** Calls back when it is the worker's turn. */
  wait(worker: object, resume: () => void): void {
    this.#waiting.push({ worker, resume })
    this.#schedule()
  }

  /** Resolves when it is the worker's turn. */
  turn(worker: object): Promise<void> {
    return new Promise((resolve) => this.wait(worker, resolve))
  }

  #look(): boolean {
    const now = this.#clock.elapsed()
    if (!this.#inSlice) {
      this.#begin(now)
      return false
    }
    const slow = now - this.#looked > this.#messages * SLOW
    this.#lookAfter = slow ? 1 : Math.min(2 * this.#lookAfter, LOOK_EVERY)
    this.#looked = now
    this.#messages = 0
    return now >= this.#ends
  }

  #begin(now: number): void {
    this.#inSlice = true
    this.#ends = now + SLICE
    this.#looked = now
    this.#messages = 0
    this.#lookAfter = 1
    this.#schedule()
  }

  /** The next turn of the event loop ends the slice, and gives one to those that wait. */
  #schedule(): void {
    if (this.#turnComes) return
    this.#turnComes = true
    this.#clock.setImmediate(() => {
      this.#turnComes = false
      this.#inSlice = false
      this.#messages = 0
      this.#lookAfter = FIRST_LOOK
      if (!this.#waiting.empty) this.#begin(this.#clock.elapsed())
      this.#resumeNext()
    })
  }

  /** Resumes the one that has waited longest, and after it the next one, until the slice is over. */
  #resumeNext(): void {
    const next = this.#waiting.empty || this.#clock.elapsed() >= this.#ends ? undefined : this.#waiting.shift()
    this.#turn = next?.worker
    if (next === undefined) return
    next.resume()
    afterMicrotasks(() => this.#resumeNext()) // those that take what it has brought have then taken it
  }
}
