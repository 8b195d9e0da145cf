import type { PeerState } from '../events/events.ts'

/** How many peers are in each state. */
export class Census {
  readonly #counts: Record<PeerState, number> = {
    disconnected: 0,
    connecting: 0,
    connected: 0,
    established: 0,
    reconnecting: 0,
    cooldown: 0,
    draining: 0,
    closed: 0,
  }

  /** A peer has come, gone, or its state has become another. */
  moved(before: PeerState | undefined, after: PeerState | undefined): void {
    if (before !== undefined) this.#counts[before]--
    if (after !== undefined) this.#counts[after]++
  }

  /** Those with a connection. */
  get connected(): number {
    const { connected, established, draining } = this.#counts
    return connected + established + draining
  }

  /** @param resting disconnected ones without a record */
  count(resting: number): Record<PeerState, number> {
    return { ...this.#counts, disconnected: this.#counts.disconnected + resting }
  }
}
