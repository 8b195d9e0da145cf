import type { Cancellable, Clock } from '../clock.ts'
import type { PeerId } from '../peer-id.ts'

/** Why a peer is blocked, and until when. */
export interface Block {
  /** Milliseconds since 1970; for ever when absent. */
  readonly until?: number
  /** As `blockPeer` was told. */
  readonly reason?: string
}

/** Peers that may not connect, seen before or not. */
export class Blocklist {
  readonly #clock: Clock
  readonly #blocks = new Map<PeerId, { readonly block: Block; readonly timer: Cancellable | undefined }>()
  readonly #onEnd: (peerId: PeerId) => void

  constructor(clock: Clock, onEnd: (peerId: PeerId) => void) {
    this.#clock = clock
    this.#onEnd = onEnd
  }

  get(peerId: PeerId): Block | undefined {
    return this.#blocks.get(peerId)?.block
  }

  get peerIds(): Iterable<PeerId> {
    return this.#blocks.keys()
  }

  /** Blocks, or changes how; `duration` in milliseconds. */
  add(peerId: PeerId, given: number | undefined, reason: string | undefined): Block {
    const duration = given === Number.POSITIVE_INFINITY ? undefined : given
    const block: Block = Object.freeze({
      ...(duration === undefined ? {} : { until: this.#clock.now() + duration }),
      ...(reason === undefined ? {} : { reason }),
    })
    this.set(peerId, block)
    return block
  }

  /** Blocks as it was before this program began. */
  set(peerId: PeerId, block: Block): void {
    this.remove(peerId)
    const { until } = block
    const end = (): void => {
      this.#blocks.delete(peerId)
      this.#onEnd(peerId)
    }
    const timer = until === undefined ? undefined : this.#clock.setTimer(end, Math.max(0, until - this.#clock.now()))
    this.#blocks.set(peerId, { block: Object.freeze({ ...block }), timer })
  }

  remove(peerId: PeerId): void {
    this.#blocks.get(peerId)?.timer?.cancel()
    this.#blocks.delete(peerId)
  }

  /** Leaves no timer. */
  clear(): void {
    for (const peerId of [...this.#blocks.keys()]) this.remove(peerId)
  }
}
