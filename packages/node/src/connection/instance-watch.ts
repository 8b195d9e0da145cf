import { equalBytes } from '@glueberry/wire'

/** Within this time, in milliseconds, … */
const SPAN = 60_000
/** … an instance that had been replaced may come back so often: a program may still be ending when its successor begins. */
const RETURNS_MAX = 1
const REMEMBERED = 8

/**
 * Notices two running programs with one identity: a restart brings an instance that was never seen, but two programs
 * that push each other out come back under the instance that they had. Only instances that have answered count: what a
 * program sent before it was killed may still arrive when its successor runs.
 */
export class InstanceWatch {
  #current: Uint8Array | undefined
  #replaced: readonly Uint8Array[] = []
  #returns: readonly number[] = []

  /** The peer has answered as this instance, at `now` in milliseconds. Returns whether two programs do. */
  saw(instance: Uint8Array, now: number): boolean {
    if (this.#current !== undefined && !equalBytes(this.#current, instance)) {
      if (this.#replaced.some((each) => equalBytes(each, instance))) {
        this.#returns = [...this.#returns.filter((at) => now - at < SPAN), now]
      }
      this.#replaced = [this.#current, ...this.#replaced].slice(0, REMEMBERED)
    }
    this.#current = instance
    if (this.#returns.length <= RETURNS_MAX) return false
    this.#returns = [] // told: one of them may be gone by the next time
    return true
  }
}
