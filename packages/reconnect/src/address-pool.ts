/** How an address has fared; a copy. */
export interface AddressEntry<A> {
  /** The address. */
  readonly address: A
  /** Failures since the last success. */
  readonly failures: number
  /** What the last of them was. */
  readonly lastError?: unknown
}

export interface AddressPoolOptions {
  /** After so many failures in a row an address is tried no more, until it is added again. Default: it always is. */
  readonly attemptsPerAddress?: number
}

interface Place<A> {
  readonly address: A
  failures: number
  lastError: unknown
  // Neighbours in the rotation; itself when it is alone, `undefined` when it is not in it any more.
  next: Place<A> | undefined
  previous: Place<A> | undefined
}

/**
 * Where something may be reached, in rotation. Every step takes the same time however many addresses there are, and
 * addresses may come and go at any moment. Addresses are compared as keys of a `Map` are.
 */
export class AddressPool<A> {
  readonly #places = new Map<A, Place<A>>()
  readonly #attemptsPerAddress: number
  #turn: Place<A> | undefined // the next one
  #inRotation = 0

  /** @throws RangeError for `attemptsPerAddress` that is no integer of at least 1 */
  constructor(addresses: Iterable<A> = [], options: AddressPoolOptions = {}) {
    const { attemptsPerAddress = Number.POSITIVE_INFINITY } = options
    if (!(attemptsPerAddress >= 1) || (attemptsPerAddress % 1 !== 0 && attemptsPerAddress !== Number.POSITIVE_INFINITY))
      throw new RangeError(`attemptsPerAddress must be an integer of at least 1, got ${attemptsPerAddress}`)
    this.#attemptsPerAddress = attemptsPerAddress
    for (const address of addresses) this.add(address)
  }

  /** How many addresses are tried. */
  get size(): number {
    return this.#inRotation
  }

  /** Whether the address is known, tried or not. */
  has(address: A): boolean {
    return this.#places.has(address)
  }

  /** Puts an address at the end of the rotation, or back into it; false when it is there already. */
  add(address: A): boolean {
    const known = this.#places.get(address)
    if (known?.next !== undefined) return false
    const place: Place<A> = { address, failures: 0, lastError: undefined, next: undefined, previous: undefined }
    this.#places.set(address, place)
    this.#insert(place)
    return true
  }

  /** Forgets an address; false when it was not there. */
  remove(address: A): boolean {
    const place = this.#places.get(address)
    if (place === undefined) return false
    this.#places.delete(address)
    this.#take(place)
    return true
  }

  /** The address whose turn it is, which then waits for all others; `undefined` when there is none to try. */
  next(): A | undefined {
    const place = this.#turn
    this.#turn = place?.next
    return place?.address
  }

  /** It did not work: counts, and takes the address out of the rotation when that was once too often. */
  failed(address: A, error: unknown): void {
    const place = this.#places.get(address)
    if (place === undefined) return
    place.failures++
    place.lastError = error
    if (place.failures >= this.#attemptsPerAddress) this.#take(place)
  }

  /** It worked: its failures are forgotten, and it is the first to be tried the next time. */
  succeeded(address: A): void {
    const place = this.#places.get(address)
    if (place === undefined) return
    place.failures = 0
    place.lastError = undefined
    if (place.next === undefined) this.#insert(place)
    this.#turn = place
  }

  /** All addresses in the order in which they were added; copies. */
  entries(): AddressEntry<A>[] {
    return [...this.#places.values()].map(({ address, failures, lastError }) => ({
      address,
      failures,
      ...(lastError === undefined ? {} : { lastError }),
    }))
  }

  /** Puts it last in the rotation. */
  #insert(place: Place<A>): void {
    const turn = this.#turn ?? place
    const last = turn.previous ?? place
    place.next = turn
    place.previous = last
    last.next = place
    turn.previous = place
    this.#turn = turn
    this.#inRotation++
  }

  #take(place: Place<A>): void {
    const { next, previous } = place
    if (next === undefined || previous === undefined) return
    previous.next = next
    next.previous = previous
    place.next = undefined
    place.previous = undefined
    if (this.#turn === place) this.#turn = next === place ? undefined : next
    this.#inRotation--
  }
}
