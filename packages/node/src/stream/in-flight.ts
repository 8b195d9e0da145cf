import type { ReceivedMessage } from './message.ts'

/** Messages of one inbox and one instance of its sender that are taken and not settled, by sequence. Mostly few. */
export class InFlight {
  readonly #messages: ReceivedMessage[] = []

  get size(): number {
    return this.#messages.length
  }

  /** The one with the lowest sequence. */
  get oldest(): ReceivedMessage | undefined {
    return this.#messages[0]
  }

  push(message: ReceivedMessage): void {
    const messages = this.#messages
    const last = messages.at(-1)
    if (last === undefined || last.sequence < message.sequence) messages.push(message)
    else messages.splice(this.#place(message.sequence), 0, message) // it had been put back
  }

  /** Returns whether it was there. */
  remove(message: ReceivedMessage): boolean {
    const messages = this.#messages
    const place = messages[0] === message ? 0 : this.#place(message.sequence)
    if (messages[place] !== message) return false
    if (messages.length === 1) messages.pop()
    else messages.splice(place, 1)
    return true
  }

  /** Takes all of them out. */
  drain(): ReceivedMessage[] {
    return this.#messages.splice(0)
  }

  /** The index of the first message from this sequence on. */
  #place(sequence: number): number {
    let [low, high] = [0, this.#messages.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#messages[middle] as ReceivedMessage).sequence < sequence) low = middle + 1
      else high = middle
    }
    return low
  }
}
