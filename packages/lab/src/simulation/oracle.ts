import type { Message } from '@glueberry/node'

/** What is in a message of the simulation: who sent it, in which of its lives, and which one it is of that life and way. */
export interface Content {
  readonly sender: number
  readonly life: number
  readonly number: number
}

/** Messages of one life of a sender, to one receiver, on one name. */
interface Sent {
  /** Numbers in the order of their acceptance: the first has the sequence 1. */
  readonly accepted: number[]
  /** The sequence of each number, once accepted. */
  readonly sequences: Map<number, number>
  /** Sequences of which the sender was told that they are undelivered. */
  readonly givenUp: Set<number>
  /** Numbers that were consumed, by any life of the receiver. */
  readonly consumed: Set<number>
  /** The last sequence that came, by life of the receiver. */
  readonly last: Map<number, number>
  /** The sender was killed: what it kept is lost with it. */
  over: boolean
}

const keyOf = (sender: number, life: number, receiver: number, name: string): string =>
  `${sender}.${life} > ${receiver} ${name}`

/** Knows what was sent, and whether what comes may come. */
export class Oracle {
  readonly #sent = new Map<string, Sent>()
  delivered = 0
  /** Messages whose sender was told that they are undelivered. */
  givenUp = 0

  #of(sender: number, life: number, receiver: number, name: string): Sent {
    const key = keyOf(sender, life, receiver, name)
    let sent = this.#sent.get(key)
    if (sent === undefined) {
      sent = {
        accepted: [],
        sequences: new Map(),
        givenUp: new Set(),
        consumed: new Set(),
        last: new Map(),
        over: false,
      }
      this.#sent.set(key, sent)
    }
    return sent
  }

  accepted({ sender, life, number }: Content, receiver: number, name: string): void {
    const sent = this.#of(sender, life, receiver, name)
    sent.accepted.push(number)
    sent.sequences.set(number, sent.accepted.length)
  }

  /** @throws Error when it was told before */
  undelivered(sender: number, life: number, receiver: number, name: string, from: number, count: number): void {
    const { givenUp } = this.#of(sender, life, receiver, name)
    for (let sequence = from; sequence < from + count; sequence++) {
      if (givenUp.has(sequence))
        throw new Error(`${sequence} of ${keyOf(sender, life, receiver, name)} is given up twice`)
      givenUp.add(sequence)
      this.givenUp++
    }
  }

  killed(sender: number, life: number): void {
    for (const [key, sent] of this.#sent) if (key.startsWith(`${sender}.${life} >`)) sent.over = true
  }

  /** A message has reached the application. @throws Error when it must not have, or one before it has not */
  received(content: Content, receiver: number, receiverLife: number, message: Message): void {
    const { sender, life, number } = content
    const { accepted, sequences, consumed, givenUp, last } = this.#of(sender, life, receiver, message.stream)
    const what = `message ${number} of ${keyOf(sender, life, receiver, message.stream)}, life ${receiverLife}`
    const sequence = sequences.get(number)
    if (sequence === undefined) throw new Error(`${what} was never accepted`)
    if (message.sequence !== sequence) throw new Error(`${what} came as ${message.sequence}, not ${sequence}`)
    const before = last.get(receiverLife) ?? 0
    if (sequence <= before) throw new Error(`${what} came after ${before}: doubled or out of order`)
    last.set(receiverLife, sequence)
    for (let missing = before + 1; missing < sequence; missing++) {
      if (consumed.has(accepted[missing - 1] as number) || givenUp.has(missing)) continue
      throw new Error(`${what} came, and ${missing} before it has not`)
    }
    if (consumed.has(number) && !message.redelivered) throw new Error(`${what} came again, and is not marked so`)
    consumed.add(number)
    this.delivered++
  }

  /** Whether everything that was accepted is delivered or told to be given up. @throws Error with the first that is neither */
  settle(): void {
    for (const [key, { accepted, givenUp, consumed, over }] of this.#sent) {
      for (const sequence of givenUp) {
        if (sequence > accepted.length) throw new Error(`${sequence} of ${key} is given up, and was never accepted`)
      }
      if (over) continue
      for (const [i, number] of accepted.entries()) {
        if (consumed.has(number) || givenUp.has(i + 1)) continue
        throw new Error(`message ${number} of ${key} is neither delivered nor told to be undelivered`)
      }
    }
  }
}
