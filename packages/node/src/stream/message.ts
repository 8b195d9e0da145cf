import { MESSAGE_OVERHEAD } from '@glueberry/wire'
import type { PeerId } from '../peer-id.ts'

/** A message as the application gets it. */
export interface Message<S extends string = string> {
  /** The sender. */
  readonly peerId: PeerId
  /** The name that it came on. */
  readonly stream: S
  /** Its bytes; yours to keep and to change. Small ones may share a buffer with others: copy them before you transfer it. */
  readonly data: Uint8Array<ArrayBuffer>
  /** Its bytes as UTF-8; what is not UTF-8 becomes U+FFFD. */
  text(): string
  /** Its number among the sender's messages to this node on this name, one more for each; see `send`. The sender's restart begins anew. */
  readonly sequence: number
  /**
   * A text that names this message and no other, also when it comes again: its sender's id and instance, the stream's
   * name and the sequence. Fit as a key to do something once.
   */
  readonly id: string
  /** It may have been delivered before, to a program that died or forgot. */
  readonly redelivered: boolean
  /** When its record arrived, in milliseconds since 1970. */
  readonly receivedAt: number
}

const decoder = new TextDecoder()

export class ReceivedMessage implements Message {
  readonly peerId: PeerId
  readonly stream: string
  readonly data: Uint8Array<ArrayBuffer>
  readonly sequence: number
  readonly redelivered: boolean
  readonly receivedAt: number
  readonly #cost: number
  readonly #instance: string

  constructor(
    peerId: PeerId,
    stream: string,
    data: Uint8Array<ArrayBuffer>,
    sequence: number,
    redelivered: boolean,
    receivedAt: number,
    instance: string,
  ) {
    this.peerId = peerId
    this.stream = stream
    this.data = data
    this.sequence = sequence
    this.redelivered = redelivered
    this.receivedAt = receivedAt
    this.#cost = data.length + MESSAGE_OVERHEAD
    this.#instance = instance
  }

  get id(): string {
    return `${this.peerId}/${this.#instance}/${this.stream}/${this.sequence}`
  }

  /** What it cost in credit, whatever has become of its bytes. */
  get cost(): number {
    return this.#cost
  }

  text(): string {
    return decoder.decode(this.data)
  }
}
