import type { Ready, Setup } from '@glueberry/wire'
import type { SessionEnd } from './endings.ts'
import type { SessionKeys } from './session-keys.ts'

// The phases of a session, and what there is in each of them: what exists only from one phase on is in no earlier one.

/** The handshake of the session runs. */
interface Keying {
  readonly name: 'keying'
}

/** SETUP has been sent, and the peer's is awaited. */
export interface SettingUp {
  readonly name: 'setting up'
  readonly keys: SessionKeys
  readonly own: Setup
}

/** SETUP has come: READY is to be sent and to come. */
export interface Deciding {
  readonly name: 'deciding'
  readonly keys: SessionKeys
  readonly own: Setup
  readonly remote: Setup
  /** Names that the peer accepts now. */
  readonly remoteStreams: ReadonlySet<string>
  /** This side's application has accepted. */
  readonly accepted: boolean
  readonly readySent: boolean
  readonly remoteReady: Ready | undefined
}

/** READY was sent and has come: messages flow. */
export interface Established {
  readonly name: 'established'
  readonly keys: SessionKeys
  readonly remote: Setup
  readonly remoteStreams: ReadonlySet<string>
  readonly accepted: true
  readonly readySent: true
  readonly remoteReady: Ready
  /** A record has come since. */
  readonly heard: boolean
  /** A ping was answered since. */
  readonly answered: boolean
}

/** A session that is not over. */
export type Living = Keying | SettingUp | Deciding | Established

/** It is over. */
interface Ended {
  readonly name: 'ended'
  readonly end: SessionEnd
  /** The phase in which it ended; its keys are zeroed. */
  readonly last: Living
}

export type Phase = Living | Ended

/** The peer's SETUP has come. A peer that accepts the same names as this node, `names`, shares that set: there may be thousands. */
export function decide({ keys, own }: SettingUp, remote: Setup, names: ReadonlySet<string>): Deciding {
  const same = remote.streams.length === names.size && remote.streams.every((name) => names.has(name))
  return {
    name: 'deciding',
    keys,
    own,
    remote: same ? { ...remote, streams: own.streams } : remote,
    remoteStreams: same ? names : new Set(remote.streams),
    accepted: false,
    readySent: false,
    remoteReady: undefined,
  }
}

/** Both sides have sent READY: that phase, or else the same one. */
export function establish(phase: Deciding): Deciding | Established {
  const { keys, remote, remoteStreams, accepted, readySent, remoteReady } = phase
  if (!accepted || !readySent || remoteReady === undefined) return phase
  return {
    name: 'established',
    keys,
    remote,
    remoteStreams,
    accepted,
    readySent,
    remoteReady,
    heard: false,
    answered: false,
  }
}
