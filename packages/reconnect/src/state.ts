/** Where a reconnector is, and what belongs to that. */
export type ReconnectorState<C> =
  /** Nothing is up and nothing is tried. */
  | { readonly name: 'idle' }
  /** The addresses are being tried, one after another; attempts count from 1 since something lasted. */
  | { readonly name: 'attempting'; readonly attempt: number }
  /** Until the next attempt: `delay` milliseconds in all, `error` is why. */
  | { readonly name: 'waiting'; readonly attempt: number; readonly delay: number; readonly error: unknown }
  /** Connected. */
  | { readonly name: 'up'; readonly connection: C }
  /** Given up: attempts exhausted, or an error that no further attempt would change. `connect` and `keep` begin anew. */
  | { readonly name: 'failed'; readonly error: unknown }
  /** For good. */
  | { readonly name: 'closed' }

/** Everything that decides what happens next. */
export interface Machine<C> {
  readonly state: ReconnectorState<C>
  /** Attempts that failed, and connections that have not yet lasted, in a row. */
  readonly failures: number
  /** What the last of them was. */
  readonly lastError: unknown
  /** Whether a failed attempt is followed by another one. */
  readonly keeps: boolean
  /** The attempt cuts a wait short because somebody asked: its failure is theirs, and is not counted. */
  readonly asked: boolean
}

export type Input<C> =
  /** Somebody wants it now; `join` lets them wait. */
  | { readonly type: 'connect'; join(): void }
  /** It is wanted from now on, even if no caller waits for it. */
  | { readonly type: 'keep' }
  /** Nobody waits for the attempt any more. */
  | { readonly type: 'deserted' }
  | { readonly type: 'failed'; readonly error: unknown }
  | { readonly type: 'succeeded'; readonly connection: C }
  | { readonly type: 'adopt'; readonly connection: C }
  | { readonly type: 'confirm'; readonly connection: C }
  | { readonly type: 'lost'; readonly connection: C; readonly error: unknown }
  /** The wait is over, or is cut short. */
  | { readonly type: 'due' }
  | { readonly type: 'cancel'; readonly error: unknown }
  | { readonly type: 'close'; readonly error: unknown }

export type Effect<C> =
  | { readonly type: 'attempt'; readonly attempt: number }
  /** Calls off the attempt in flight, or the wait for the next one. */
  | { readonly type: 'abort' }
  | { readonly type: 'wait'; readonly delay: number }
  | { readonly type: 'dispose'; readonly connection: C }
  | { readonly type: 'resolve'; readonly connection: C }
  | { readonly type: 'reject'; readonly error: unknown }

/** What the user of a reconnector decides. */
export interface Policy {
  readonly maxAttempts: number
  /** Milliseconds; an error gives up. */
  delay(attempt: number, error: unknown): number | Error
  giveUp(error: unknown, previous: unknown): boolean
}

export function initialMachine<C>(): Machine<C> {
  return { state: { name: 'idle' }, failures: 0, lastError: undefined, keeps: false, asked: false }
}

/** The one place where the state changes. Pure, but for what the policy does. */
export function transition<C>(
  machine: Machine<C>,
  input: Input<C>,
  policy: Policy,
): { readonly machine: Machine<C>; readonly effects: readonly Effect<C>[] } {
  const { state } = machine
  const stay = { machine, effects: [] }
  if (state.name === 'closed') {
    // A success that comes after the end.
    return input.type === 'adopt' ? { machine, effects: [{ type: 'dispose', connection: input.connection }] } : stay
  }
  switch (input.type) {
    case 'connect':
    case 'keep': {
      const keeps = machine.keeps || input.type === 'keep'
      if (state.name === 'up' || state.name === 'attempting') return { machine: { ...machine, keeps }, effects: [] }
      // `keep` does not shorten a wait: that is what `connect` and `retryNow` are for.
      if (state.name === 'waiting') return input.type === 'keep' ? stay : attempt({ ...machine, asked: true })
      return attempt({ ...initialMachine<C>(), keeps })
    }
    case 'deserted':
      return state.name === 'attempting' && !machine.keeps
        ? { machine: initialMachine(), effects: [{ type: 'abort' }] }
        : stay
    case 'due':
      return state.name === 'waiting' ? attempt(machine) : stay
    case 'failed':
      return state.name === 'attempting' ? failed(machine, input.error, policy) : stay
    case 'succeeded':
      return state.name === 'attempting' ? up(machine, input.connection, []) : stay
    case 'adopt': {
      const { connection } = input
      if (state.name !== 'up') {
        const pending = state.name === 'attempting' || state.name === 'waiting'
        return up(machine, connection, pending ? [{ type: 'abort' }] : [])
      }
      return state.connection === connection
        ? stay
        : up(machine, connection, [{ type: 'dispose', connection: state.connection }])
    }
    case 'confirm':
      return state.name === 'up' && state.connection === input.connection
        ? { machine: { ...machine, failures: 0, lastError: undefined }, effects: [] }
        : stay
    case 'lost': {
      if (state.name !== 'up' || state.connection !== input.connection) return stay
      return next({ ...machine, lastError: input.error }, input.error, policy)
    }
    case 'cancel':
      return { machine: initialMachine(), effects: [...letGo(state), { type: 'reject', error: input.error }] }
    case 'close':
      return {
        machine: { ...initialMachine<C>(), state: { name: 'closed' } },
        effects: [...letGo(state), { type: 'reject', error: input.error }],
      }
  }
}

function attempt<C>(machine: Machine<C>): { machine: Machine<C>; effects: Effect<C>[] } {
  const number = machine.failures + 1
  const waits = machine.state.name === 'waiting'
  return {
    machine: { ...machine, state: { name: 'attempting', attempt: number } },
    effects: [...(waits ? [{ type: 'abort' } as const] : []), { type: 'attempt', attempt: number }],
  }
}

function up<C>(
  machine: Machine<C>,
  connection: C,
  before: readonly Effect<C>[],
): { machine: Machine<C>; effects: Effect<C>[] } {
  // It counts as an attempt that failed until it has lasted: what only just answers would be tried in a loop.
  const failures = machine.failures + (machine.state.name === 'up' ? 0 : 1)
  return {
    machine: { ...machine, state: { name: 'up', connection }, keeps: true, asked: false, failures },
    effects: [...before, { type: 'resolve', connection }],
  }
}

function failed<C>(
  machine: Machine<C>,
  error: unknown,
  policy: Policy,
): { machine: Machine<C>; effects: readonly Effect<C>[] } {
  const reject = { type: 'reject', error } as const
  if (!machine.keeps) return { machine: initialMachine(), effects: [reject] }
  const { asked, lastError } = machine
  if (!asked && policy.giveUp(error, lastError)) return { machine: givenUp(error), effects: [reject] }
  const counted = asked ? machine : { ...machine, failures: machine.failures + 1, lastError: error }
  const { machine: after, effects } = next({ ...counted, asked: false }, error, policy)
  return { machine: after, effects: [...effects, reject] }
}

function givenUp<C>(error: unknown): Machine<C> {
  return { ...initialMachine<C>(), state: { name: 'failed', error } }
}

/** After a failure: waits for the next attempt, unless there have been enough. */
function next<C>(
  machine: Machine<C>,
  error: unknown,
  { maxAttempts, delay: delayOf }: Policy,
): { machine: Machine<C>; effects: readonly Effect<C>[] } {
  if (maxAttempts >= 0 && machine.failures >= maxAttempts) return { machine: givenUp(error), effects: [] }
  const attempt = machine.failures + 1
  const delay = delayOf(attempt, error)
  if (typeof delay !== 'number') return { machine: givenUp(delay), effects: [] }
  return {
    machine: { ...machine, state: { name: 'waiting', attempt, delay, error } },
    effects: [{ type: 'wait', delay }],
  }
}

function letGo<C>(state: ReconnectorState<C>): readonly Effect<C>[] {
  if (state.name === 'attempting' || state.name === 'waiting') return [{ type: 'abort' }]
  return state.name === 'up' ? [{ type: 'dispose', connection: state.connection }] : []
}
