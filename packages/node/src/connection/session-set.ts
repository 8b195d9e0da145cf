import { ENDED_MAX, equalBytes } from '@glueberry/wire'

/** What decides about a session. */
export interface Contender {
  /** Once the keys are agreed on: SETUP has been sent. */
  readonly id: Uint8Array | undefined
  /** The peer's SETUP, once it has come. */
  readonly remote: { readonly instance: Uint8Array; readonly ended: readonly Uint8Array[] } | undefined
  /** The session whose keys this one renews. */
  readonly renews: Contender | undefined
  /** This side's application has accepted. */
  readonly accepted: boolean
  /** The peer's READY has come. */
  readonly remoteIsReady: boolean
}

/**
 * The sessions with one peer, and which of them lives (docs/protocol.md, "Which session lives"). It decides and does
 * nothing: what it says has to be done before anything else happens.
 */
export class SessionSet<S extends Contender> {
  readonly #decides: boolean
  readonly #sessions = new Set<S>()
  /** At the decider: the session that others would be duplicates of. */
  #chosen: S | undefined
  #endedIds: readonly Uint8Array[]

  /** @param decides whether this node has the smaller PeerId
   * @param endedIds of sessions that ended before there was this set */
  constructor(decides: boolean, endedIds: readonly Uint8Array[] = []) {
    this.#decides = decides
    this.#endedIds = endedIds
  }

  get all(): readonly S[] {
    return [...this.#sessions]
  }

  get size(): number {
    return this.#sessions.size
  }

  /** Whether there is one in which this side has sent SETUP, established or not. */
  get underWay(): boolean {
    return this.all.some(({ id }) => id !== undefined)
  }

  /** Ids of the last sessions that were set up here and have ended: what SETUP tells. */
  get endedIds(): readonly Uint8Array[] {
    return this.#endedIds
  }

  add(session: S): void {
    this.#sessions.add(session)
  }

  /** It is over. */
  delete(session: S): void {
    this.#sessions.delete(session)
    if (session.id !== undefined) this.#endedIds = [session.id, ...this.#endedIds].slice(0, ENDED_MAX)
    if (this.#chosen === session) this.#chosen = undefined
  }

  /** Sessions that are over because this one's SETUP says so. */
  overBy(session: S): readonly S[] {
    const ended = session.remote?.ended ?? []
    return this.all.filter(
      (other) => other !== session && ended.some((id) => other.id !== undefined && equalBytes(other.id, id)),
    )
  }

  /** The SETUP has come, and what it says is over has been ended. */
  onSetup(session: S): 'begin' | 'duplicate' {
    if (!this.#decides) return 'begin'
    const chosen = this.#chosen
    if (chosen !== undefined && session.renews !== chosen && sameInstance(chosen, session)) return 'duplicate'
    this.#chosen = session // another instance: the peer has restarted, so what we have with it is dead
    return 'begin'
  }

  /** This side's application has accepted, or the peer's READY has come. */
  onProgress(session: S): 'ready' | 'wait' | 'duplicate' {
    if (!session.accepted) return 'wait'
    if (!this.#decides) return session.remoteIsReady ? 'ready' : 'wait'
    return session === this.#chosen ? 'ready' : 'duplicate' // another one was chosen while the application thought
  }

  /** Those that must end before READY is sent on this one: so the positions in it are exact. */
  rivals(session: S): readonly S[] {
    return this.all.filter((other) => other !== session && other.remote !== undefined)
  }
}

/** Whether both are of one start of the peer's program. */
export function sameInstance(a: Contender, b: Contender): boolean {
  return a.remote !== undefined && b.remote !== undefined && equalBytes(a.remote.instance, b.remote.instance)
}

/** Whether the node with these PeerId bytes decides. */
export function decides(own: Uint8Array, remote: Uint8Array): boolean {
  for (let i = 0; i < Math.min(own.length, remote.length); i++) {
    const difference = (own[i] as number) - (remote[i] as number)
    if (difference !== 0) return difference < 0
  }
  return own.length < remote.length
}
