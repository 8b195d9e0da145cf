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
  readonly #blocks = new Map<PeerId, Block>()
  /** While started: of each block that ends. */
  readonly #timers = new Map<PeerId, Cancellable>()
  readonly #onEnd: (peerId: PeerId) => void
  #started = false

  constructor(clock: Clock, onEnd: (peerId: PeerId) => void) {
    this.#clock = clock
    this.#onEnd = onEnd
  }

  get(peerId: PeerId): Block | undefined {
    const block = this.#blocks.get(peerId)
    return block?.until === undefined || block.until > this.#clock.now() ? block : undefined
  }

  get peerIds(): Iterable<PeerId> {
    return this.#blocks.keys()
  }

  /** Blocks, or changes how. */
  set(peerId: PeerId, block: Block): void {
    this.remove(peerId)
    this.#blocks.set(peerId, Object.freeze({ ...block }))
    if (this.#started) this.#arm(peerId)
  }

  remove(peerId: PeerId): void {
    this.#timers.get(peerId)?.cancel()
    this.#timers.delete(peerId)
    this.#blocks.delete(peerId)
  }

  /** From now on the end of a block is told. */
  start(): void {
    this.#started = true
    for (const peerId of this.#blocks.keys()) this.#arm(peerId)
  }

  /** Leaves no timer. */
  stop(): void {
    this.#started = false
    for (const timer of this.#timers.values()) timer.cancel()
    this.#timers.clear()
  }

  #arm(peerId: PeerId): void {
    const until = this.#blocks.get(peerId)?.until
    if (until === undefined) return
    const end = (): void => {
      this.remove(peerId)
      this.#onEnd(peerId)
    }
    this.#timers.set(peerId, this.#clock.setTimer(end, Math.max(0, until - this.#clock.now())))
  }
}
