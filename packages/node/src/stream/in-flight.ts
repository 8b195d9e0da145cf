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
    else messages.splice(placeOf(message.sequence, messages), 0, message) // it had been put back
  }

  /** Returns whether it was there. */
  remove(message: ReceivedMessage): boolean {
    const messages = this.#messages
    const place = messages[0] === message ? 0 : placeOf(message.sequence, messages)
    if (messages[place] !== message) return false
    if (messages.length === 1) messages.pop()
    else messages.splice(place, 1)
    return true
  }

  /** Takes all of them out. */
  drain(): ReceivedMessage[] {
    return this.#messages.splice(0)
  }
}

/** The index of the first message from this sequence on, of those between two indexes, which are in order of sequence. */
export function placeOf(
  sequence: number,
  messages: readonly ReceivedMessage[],
  from = 0,
  to: number = messages.length,
): number {
  let [low, high] = [from, to]
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((messages[middle] as ReceivedMessage).sequence < sequence) low = middle + 1
    else high = middle
  }
  return low
}
