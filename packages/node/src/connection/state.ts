import type { NewEvent, PeerState, Reason } from '../events.ts'
import type { Direction } from '../transport.ts'

/** How things are with one peer. Only `transition` makes a new one. */
export interface ConnectionState {
  readonly name: PeerState
  /** Who dialed, while there is a connection. */
  readonly direction?: Direction
  /** The end of a cooldown, in milliseconds since 1970. */
  readonly until?: number
}

export type ConnectionInput =
  | { readonly type: 'dial' }
  /** The peer's SETUP has come: it is who it says. */
  | { readonly type: 'authenticated'; readonly direction: Direction }
  | { readonly type: 'established'; readonly direction: Direction; readonly resumed: boolean }
  /** The attempt has failed, or the session is over, and nothing is left that could replace it. */
  | { readonly type: 'lost'; readonly reason: Reason }
  | { readonly type: 'refused'; readonly until: number; readonly reason: Reason }
  | { readonly type: 'cooldown-over' }
  | { readonly type: 'drain' }
  | { readonly type: 'close'; readonly reason: 'removed' | 'blocked' | 'gave-up' | 'expired' | 'stopped' }

type WithoutPeer<E> = E extends { readonly peerId: unknown } ? Omit<E, 'peerId'> : never
/** An event of the peer that the state belongs to. */
export type ConnectionEvent = WithoutPeer<NewEvent>

/** States whose end `disconnected` tells of, whatever ends them. */
const CONNECTED: ReadonlySet<PeerState> = new Set<PeerState>(['connected', 'established', 'draining'])

export const INITIAL_STATE: ConnectionState = { name: 'disconnected' }

/** The one place where a peer's state changes. Pure; the events are delivered after it. */
export function transition(
  state: ConnectionState,
  input: ConnectionInput,
): { readonly state: ConnectionState; readonly events: readonly ConnectionEvent[] } {
  const stay = { state, events: [] }
  if (state.name === 'closed') return stay
  switch (input.type) {
    case 'dial':
      return state.name === 'disconnected' ? { state: { name: 'connecting' }, events: [{ type: 'connecting' }] } : stay
    case 'authenticated':
      return state.name === 'disconnected' || state.name === 'connecting' || state.name === 'reconnecting'
        ? { state: { name: 'connected', direction: input.direction }, events: [{ type: 'connected' }] }
        : stay
    case 'established':
      return {
        state: { name: state.name === 'draining' ? 'draining' : 'established', direction: input.direction },
        events: [{ type: 'established', resumed: input.resumed }],
      }
    case 'lost':
      return state.name === 'disconnected' || state.name === 'cooldown'
        ? stay
        : { state: { name: 'disconnected' }, events: [{ type: 'disconnected', reason: input.reason }] }
    case 'refused': {
      const cooldown = { type: 'cooldown', until: input.until, reason: input.reason } as const
      return {
        state: { name: 'cooldown', until: input.until },
        events: CONNECTED.has(state.name) ? [{ type: 'disconnected', reason: input.reason }, cooldown] : [cooldown],
      }
    }
    case 'cooldown-over':
      return state.name === 'cooldown' ? { state: { name: 'disconnected' }, events: [] } : stay
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
