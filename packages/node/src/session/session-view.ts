import type { Ready, Setup } from '@glueberry/wire'
import type { SessionEnd } from './endings.ts'
import type { Deciding, Established, Living, Phase } from './phase.ts'
import type { SessionKeys } from './session-keys.ts'

const NO_STREAMS: ReadonlySet<string> = new Set()

/** What may be asked of a session. All of it follows from its phase. */
export abstract class SessionView {
  protected phase: Phase = { name: 'keying' }

  /** Its id, once the keys are agreed on. */
  get id(): Uint8Array | undefined {
    return this.keys?.id
  }

  /** The peer's SETUP, once it has come. */
  get remote(): Setup | undefined {
    return this.#remotePhase?.remote
  }

  /** The largest message that the peer accepts, in bytes; 0 before its SETUP. */
  get largestMessage(): number {
    return this.remote?.largestMessage ?? 0
  }

  /** Names that the peer accepts. */
  get remoteStreams(): ReadonlySet<string> {
    return this.#remotePhase?.remoteStreams ?? NO_STREAMS
  }

  get ended(): boolean {
    return this.phase.name === 'ended'
  }

  /** How it ended, once it has. */
  get end(): SessionEnd | undefined {
    return this.phase.name === 'ended' ? this.phase.end : undefined
  }

  get established(): boolean {
    return this.phase.name === 'established'
  }

  /** Whether it is, or was before it ended. */
  get wasEstablished(): boolean {
    return this.#last.name === 'established'
  }

  /** Whether this side's application has accepted. */
  get accepted(): boolean {
    return this.#remotePhase?.accepted === true
  }

  get readySent(): boolean {
    return this.#remotePhase?.readySent === true
  }

  /** The peer's READY, once it has come. */
  get remoteReady(): Ready | undefined {
    return this.#remotePhase?.remoteReady
  }

  get remoteIsReady(): boolean {
    return this.remoteReady !== undefined
  }

  /** Whether a data stream's header names this session. */
  isNamedBy(tag: Uint8Array): boolean {
    return this.keys?.matches(tag) === true
  }

  /** Once they are agreed on; zeroed when it has ended. */
  protected get keys(): SessionKeys | undefined {
    const last = this.#last
    return last.name === 'keying' ? undefined : last.keys
  }

  /** The present phase, or the one in which it ended. */
  get #last(): Living {
    return this.phase.name === 'ended' ? this.phase.last : this.phase
  }

  /** The same, once the peer's SETUP has come. */
  get #remotePhase(): Deciding | Established | undefined {
    const last = this.#last
    return last.name === 'deciding' || last.name === 'established' ? last : undefined
  }
}
