import type { Cancellable, Clock } from './clock.ts'

export interface ExpiringOptions<K, V> {
  readonly clock: Clock
  /** How long a value is kept, in milliseconds. */
  readonly keep: number
  /** How many are kept at most: the earliest goes first. */
  readonly max: number
  /** A value has had its time, or had to make room. */
  expired?(key: K, value: V): void
}

/** Values that are kept for a time, each as long as the others. One timer for all of them. */
export class Expiring<K, V> {
  readonly #options: ExpiringOptions<K, V>
  /** In the order in which they came. */
  readonly #values = new Map<K, { readonly value: V; readonly until: number }>()
  #timer: Cancellable | undefined // until the first of them is to be dropped

  constructor(options: ExpiringOptions<K, V>) {
    this.#options = options
  }

  get size(): number {
    return this.#values.size
  }

  put(key: K, value: V): void {
    const { clock, keep, max } = this.#options
    this.#values.delete(key)
    this.#values.set(key, { value, until: clock.elapsed() + keep })
    if (this.#values.size > max) this.#dropFirst()
    this.#schedule()
  }

  get(key: K): V | undefined {
    return this.#values.get(key)?.value
  }

  /** Takes a value out. */
  take(key: K): V | undefined {
    const value = this.get(key)
    this.#values.delete(key)
    if (this.#values.size === 0) this.close()
    return value
  }

  *[Symbol.iterator](): Generator<[K, V]> {
    for (const [key, { value }] of this.#values) yield [key, value]
  }

  /** Leaves no timer; what is there can still be read. */
  close(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }

  #schedule(): void {
    const [first] = this.#values.values()
    if (first === undefined || this.#timer !== undefined) return
    const { clock } = this.#options
    this.#timer = clock.setTimer(() => this.#expire(), Math.max(0, first.until - clock.elapsed()))
  }

  #expire(): void {
    this.#timer = undefined
    const now = this.#options.clock.elapsed()
    for (const { until } of this.#values.values()) {
      if (until > now) break
      this.#dropFirst()
    }
    this.#schedule()
  }

  #dropFirst(): void {
    const [first] = this.#values
    if (first === undefined) return
    const [key, { value }] = first
    this.#values.delete(key)
    this.#options.expired?.(key, value)
  }
}
