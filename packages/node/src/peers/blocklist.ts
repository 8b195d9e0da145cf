import type { Cancellable, Clock } from '../clock.ts'
import { GlueberryError } from '../errors.ts'
import type { PeerId } from '../peer-id.ts'

/** Why a peer is blocked, and until when. */
export interface PeerBlock {
  /** Milliseconds since 1970; for ever when absent. */
  readonly until?: number
  /** As `blockPeer` was told. */
  readonly reason?: string
}

/** Peers that may not connect, seen before or not. A block lasts as long as it was meant to, whatever becomes of the machine's clock. */
export class Blocklist {
  readonly #clock: Clock
  readonly #blocks = new Map<PeerId, { readonly block: PeerBlock; readonly ends: number }>()
  /** While started: of each block that ends. */
  readonly #timers = new Map<PeerId, Cancellable>()
  readonly #onEnd: (peerId: PeerId) => void
  #started = false

  constructor(clock: Clock, onEnd: (peerId: PeerId) => void) {
    this.#clock = clock
    this.#onEnd = onEnd
  }

  get(peerId: PeerId): PeerBlock | undefined {
    const found = this.#blocks.get(peerId)
    return found !== undefined && found.ends > this.#clock.elapsed() ? found.block : undefined
  }

  /** @throws GlueberryError `PEER_BLOCKED` */
  check(peerId: PeerId): void {
    const blocked = this.get(peerId)
    if (blocked === undefined) return
    const why = blocked.reason === undefined ? '' : `: ${blocked.reason}`
    throw new GlueberryError('PEER_BLOCKED', `${peerId} is blocked${why}`, {
      peerId,
      hint: 'unblock it with unblockPeer',
    })
  }

  get peerIds(): Iterable<PeerId> {
    return this.#blocks.keys()
  }

  /** Blocks, or changes how. */
  set(peerId: PeerId, block: PeerBlock): void {
    this.remove(peerId)
    const left = block.until === undefined ? Number.POSITIVE_INFINITY : block.until - this.#clock.now()
    this.#blocks.set(peerId, { block: Object.freeze({ ...block }), ends: this.#clock.elapsed() + left })
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
    const ends = this.#blocks.get(peerId)?.ends
    if (ends === undefined || ends === Number.POSITIVE_INFINITY) return
    const end = (): void => {
      this.remove(peerId)
      this.#onEnd(peerId)
    }
    this.#timers.set(peerId, this.#clock.setTimer(end, Math.max(0, ends - this.#clock.elapsed())))
  }
}
