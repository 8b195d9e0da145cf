import type { IdentityKeys, Ready, Refusal, Setup } from '@glueberry/wire'
import type { Clock } from '../clock.ts'
import type { GlueberryError } from '../errors.ts'
import type { PendingMemory } from '../limits/pending-memory.ts'
import type { Logger } from '../observe/logger.ts'
import type { PeerId } from '../peer-id.ts'
import type { StreamsPort } from '../session-port.ts'
import type { HandshakePeer, Verdict } from './application-handshake.ts'
import type { SessionEnd } from './endings.ts'

/** What every session of a node is made with. */
export interface SessionContext {
  readonly clock: Clock
  readonly logger: Logger
  readonly keys: IdentityKeys
  readonly network: string
  /** Whether AES-256-GCM is to be used where the peer wants it too; measured when `undefined`. */
  readonly aes: boolean | undefined
  readonly handshakeTimeout: number
  /** What this node accepts; the set never changes. */
  names(): ReadonlySet<string>
  readonly ownPeerId: PeerId
  /** What is held for sessions that are not yet established. */
  readonly pending: PendingMemory
  readonly heartbeat: { readonly interval: number; readonly timeout: number }
  /** After so many milliseconds or bytes the keys are renewed. */
  readonly keyLife: { readonly age: number; readonly bytes: number }
  readonly handshake: ((peer: HandshakePeer) => Promise<Verdict>) | undefined
  /** Something went wrong here that no call can be told of. */
  report(error: GlueberryError): void
  /** A ping was answered after so many milliseconds. */
  measured(roundTrip: number): void
}

/** What a session tells its owner, each after its own state is complete. */
export interface SessionOwner<Session> {
  /** What this side says in SETUP. */
  setup(): Setup
  /** Why an authenticated peer of our network is not wanted all the same; asked of inbound sessions. */
  refuses(): Refusal | undefined
  /** The peer has sent what brings no message, and no session further. @throws GlueberryError `PROTOCOL` when that is too often */
  onRequest(): void
  /** The peer's SETUP has come. The owner then calls `begin` or `accept`, or ends the session. */
  onSetup(session: Session): void
  /** This side's application has accepted, or the peer's READY has come; `peer`: its SETUP. */
  onProgress(session: Session, peer: Setup): void
  /** READY was sent, and this one has come: messages may flow. */
  onEstablished(session: Session, ready: Ready): void
  /** The first record since then has come. */
  onAlive(session: Session): void
  /** The peer has answered a ping since then. Called once. */
  onAnswered(session: Session, peer: Setup): void
  /** The keys should be renewed. Called once. */
  onKeysDue(session: Session): void
  /** The streams of the peer: at most one session with it is established, and what is told there is of them. */
  readonly streams: StreamsPort
  /** The peer is one of ours, by the address book or an earlier session: it is believed, and is dropped last. */
  readonly known: boolean
  /** Once, whatever the cause. */
  onEnd(session: Session, end: SessionEnd): void
}
