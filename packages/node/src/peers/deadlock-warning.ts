import type { Logger } from '../observe/logger.ts'
import type { PeerId } from '../peer-id.ts'
import type { Delivery } from '../stream/delivery.ts'
import type { Inbox } from '../stream/inbox.ts'

/** Two programs that both send before they read wait for each other: says so, once for each peer. */
export class DeadlockWarning {
  readonly #peerId: PeerId
  readonly #logger: Logger
  readonly #delivery: Delivery
  #given = false

  constructor(peerId: PeerId, logger: Logger, delivery: Delivery) {
    this.#peerId = peerId
    this.#logger = logger
    this.#delivery = delivery
  }

  /** A send on this stream waits for the peer: does the peer wait for this program likewise? */
  check(stream: string, inboxes: Iterable<Inbox>): void {
    if (this.#given) return
    for (const inbox of inboxes) {
      if (!inbox.full || this.#delivery.hasConsumer(inbox.name)) continue
      this.#given = true
      this.#logger.warn('a send waits for a peer whose own messages nobody takes here', {
        peerId: this.#peerId,
        stream,
        untaken: inbox.name,
        hint: 'two programs that both send before they read wait for each other: read in another loop',
      })
      return
    }
  }
}
