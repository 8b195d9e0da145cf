import type { DisconnectReason, NewEvent, PeerState } from '../events/events.ts'
import type { Direction } from '../transport/transport.ts'

/** The next attempt to reach a peer. */
export interface ReconnectAttempt {
  /** Attempts count from 1 since a session lasted. */
  readonly attempt: number
  /** When it begins, in milliseconds since 1970. */
  readonly at: number
}

/** How things are with one peer. Only `transition` makes a new one. */
export interface ConnectionState {
  readonly name: PeerState
  /** Which side dialed, while there is a connection. */
  readonly direction?: Direction
  /** The end of a cooldown, in milliseconds since 1970. */
  readonly until?: number
  /** While reconnecting. */
  readonly retry?: ReconnectAttempt
  /** A session was lost, not ended by this program, and there was none since. */
  readonly outage?: true
}

export type ConnectionInput =
  | { readonly type: 'dial' }
  /** The peer's SETUP has come: it is authenticated. */
  | { readonly type: 'authenticated'; readonly direction: Direction }
  | { readonly type: 'established'; readonly direction: Direction; readonly resumed: boolean }
  /** The attempt has failed, or the session is over, nothing is left that could replace it; and what comes next, if anything. */
  | {
      readonly type: 'lost'
      readonly reason: DisconnectReason
      readonly retry?: ReconnectAttempt & { readonly delay: number }
    }
  | { readonly type: 'refused'; readonly until: number; readonly reason: DisconnectReason }
  | { readonly type: 'cooldown-over' }
  | { readonly type: 'drain' }
  | { readonly type: 'close'; readonly reason: 'removed' | 'blocked' | 'gave-up' | 'expired' | 'stopped' }

type WithoutPeer<E> = E extends { readonly peerId: unknown } ? Omit<E, 'peerId'> : never
/** An event of the peer that the state belongs to. */
export type ConnectionEvent = WithoutPeer<NewEvent>

/** States whose end `disconnected` tells of, whatever ends them. */
const CONNECTED: ReadonlySet<PeerState> = new Set<PeerState>(['connected', 'established', 'draining'])
/** Of these, those in which messages flow. */
const FLOWING: ReadonlySet<PeerState> = new Set<PeerState>(['established', 'draining'])

export const INITIAL_STATE: ConnectionState = { name: 'disconnected' }

/** The one place where a peer's state changes. Pure; the events are delivered after it. */
export function transition(
  state: ConnectionState,
  input: ConnectionInput,
): { readonly state: ConnectionState; readonly events: readonly ConnectionEvent[] } {
  const stay = { state, events: [] }
  if (state.name === 'closed') return stay
  const outage = state.outage === undefined ? {} : { outage: state.outage }
  switch (input.type) {
    case 'dial':
      return state.name === 'disconnected'
        ? { state: { name: 'connecting', ...outage }, events: [{ type: 'connecting' }] }
        : stay
    case 'authenticated':
      return state.name === 'disconnected' || state.name === 'connecting' || state.name === 'reconnecting'
        ? { state: { name: 'connected', direction: input.direction, ...outage }, events: [{ type: 'connected' }] }
        : stay
    case 'established': {
      const name = state.name === 'draining' ? 'draining' : 'established'
      const established = { type: 'established', resumed: input.resumed } as const
      return {
        state: { name, direction: input.direction },
        // In place of another one, with fresh keys or by another way: nothing has changed for the application.
        events:
          input.resumed && FLOWING.has(state.name)
            ? []
            : state.outage === undefined
              ? [established]
              : [established, { type: 'reconnected' }],
      }
    }
    case 'lost':
      return lost(state, input)
    case 'refused': {
      const cooldown = { type: 'cooldown', until: input.until, reason: input.reason } as const
      return {
        state: { name: 'cooldown', until: input.until, ...outageAfter(state, input.reason) },
        events: CONNECTED.has(state.name) ? [{ type: 'disconnected', reason: input.reason }, cooldown] : [cooldown],
      }
    }
    case 'cooldown-over':
      return state.name === 'cooldown' ? { state: { name: 'disconnected', ...outage }, events: [] } : stay
    case 'drain':
      return state.name === 'established' ? { state: { ...state, name: 'draining' }, events: [] } : stay
    case 'close': {
      const closed = { type: 'closed', reason: input.reason } as const
      return {
        state: { name: 'closed' },
        events: CONNECTED.has(state.name) ? [{ type: 'disconnected', reason: { kind: 'local' } }, closed] : [closed],
      }
    }
  }
}

function lost(
  state: ConnectionState,
  { reason, retry }: Extract<ConnectionInput, { type: 'lost' }>,
): { state: ConnectionState; events: readonly ConnectionEvent[] } {
  if (state.name === 'cooldown') return { state, events: [] } // tried again when it is over
  const outage = outageAfter(state, reason)
  const disconnected = { type: 'disconnected', reason } as const
  if (retry === undefined) {
    // Subscribers that follow the attempts learn that there will be no more.
    return state.name === 'disconnected'
      ? { state, events: [] }
      : { state: { name: 'disconnected', ...outage }, events: [disconnected] }
  }
  const { attempt, at, delay } = retry
  const reconnecting = { type: 'reconnecting', attempt, delay } as const
  return {
    state: { name: 'reconnecting', retry: { attempt, at }, ...outage },
    events:
      state.name === 'disconnected' || state.name === 'reconnecting' ? [reconnecting] : [disconnected, reconnecting],
  }
}

function outageAfter(state: ConnectionState, reason: DisconnectReason): { readonly outage?: true } {
  return state.outage !== undefined || (FLOWING.has(state.name) && reason.kind !== 'local') ? { outage: true } : {}
}
