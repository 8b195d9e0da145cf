/** A place in a list. */
export interface ListNode<T> {
  readonly value: T
}

interface Node<T> extends ListNode<T> {
  list: LinkedList<T> | undefined
  next: Node<T> | undefined
  previous: Node<T> | undefined
}

/** A queue from whose middle anything can be taken. Every step takes the same time, however long it is. */
export class LinkedList<T> {
  #first: Node<T> | undefined
  #last: Node<T> | undefined
  #size = 0

  get size(): number {
    return this.#size
  }

  get empty(): boolean {
    return this.#first === undefined
  }

  get first(): T | undefined {
    return this.#first?.value
  }

  get last(): T | undefined {
    return this.#last?.value
  }

  /** Adds at the end; what it returns is for `remove`. */
  push(value: T): ListNode<T> {
    const node: Node<T> = { value, list: this, next: undefined, previous: this.#last }
    if (this.#last === undefined) this.#first = node
    else this.#last.next = node
    this.#last = node
    this.#size++
    return node
  }

  /** Takes the first one out. */
  shift(): T | undefined {
    const first = this.#first
    if (first !== undefined) this.remove(first)
    return first?.value
  }

  /** Takes one out; false when it is not there any more. */
  remove(place: ListNode<T>): boolean {
    const node = place as Node<T>
    if (node.list !== this) return false
    node.list = undefined
    if (node.previous === undefined) this.#first = node.next
    else node.previous.next = node.next
    if (node.next === undefined) this.#last = node.previous
    else node.next.previous = node.previous
    this.#size--
    return true
  }

  /** Takes everything out. */
  *drain(): Generator<T> {
    for (let value = this.shift(); value !== undefined; value = this.shift()) yield value
  }

  *[Symbol.iterator](): Generator<T> {
    for (let node = this.#first; node !== undefined; node = node.next) yield node.value
  }
}
