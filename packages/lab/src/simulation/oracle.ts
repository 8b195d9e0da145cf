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
  /** In which life of the receiver each number was consumed first. */
  readonly consumed: Map<number, number>
  /** The last number that came, by life of the receiver. */
  readonly last: Map<number, number>
  /** The life of the sender is over: what it kept is lost with it. */
  over: boolean
}

const keyOf = (sender: number, life: number, receiver: number, name: string): string =>
  `${sender}.${life} > ${receiver} ${name}`

/** Knows what was sent, and whether what comes may come. */
export class Oracle {
  readonly #sent = new Map<string, Sent>()
  delivered = 0
  redelivered = 0

  #of(sender: number, life: number, receiver: number, name: string): Sent {
    const key = keyOf(sender, life, receiver, name)
    let sent = this.#sent.get(key)
    if (sent === undefined) {
      sent = {
        accepted: [],
        sequences: new Map(),
        givenUp: new Set(),
        consumed: new Map(),
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

  undelivered(sender: number, life: number, receiver: number, name: string, from: number, count: number): void {
    const { givenUp } = this.#of(sender, life, receiver, name)
    for (let sequence = from; sequence < from + count; sequence++) givenUp.add(sequence)
  }

  died(sender: number, life: number): void {
    for (const [key, sent] of this.#sent) if (key.startsWith(`${sender}.${life} >`)) sent.over = true
  }

  /** A message has reached the application. @throws Error when it must not have */
  received(content: Content, receiver: number, receiverLife: number, message: Message): void {
    const { sender, life, number } = content
    const sent = this.#of(sender, life, receiver, message.stream)
    const what = `message ${number} of ${keyOf(sender, life, receiver, message.stream)}, life ${receiverLife}`
    const last = sent.last.get(receiverLife) ?? 0
    if (number <= last) throw new Error(`${what} came after ${last}: doubled or out of order`)
    sent.last.set(receiverLife, number)
    const before = sent.consumed.get(number)
    if (before !== undefined && !message.redelivered) throw new Error(`${what} came again, and is not marked so`)
    if (before === undefined) sent.consumed.set(number, receiverLife)
    this.delivered++
    if (message.redelivered) this.redelivered++
  }

  /** Whether everything that was accepted is delivered or told to be given up. @throws Error with the first that is neither */
  settle(): void {
    for (const [key, { accepted, sequences, givenUp, consumed, over }] of this.#sent) {
      if (over) continue
      for (const number of accepted) {
        if (consumed.has(number) || givenUp.has(sequences.get(number) as number)) continue
        throw new Error(`message ${number} of ${key} is neither delivered nor told to be undelivered`)
      }
    }
  }
}
