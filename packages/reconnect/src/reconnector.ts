import { backoff } from './backoff.ts'
import { guarded, ownDelay, throwLater } from './callbacks.ts'
import { ReconnectError } from './errors.ts'
import type { AttemptContext, ReconnectorOptions } from './options.ts'
import { type Effect, type Input, initialMachine, type Policy, type ReconnectorState, transition } from './state.ts'

/** The longest that a timer of Node or a browser takes; a longer one would fire at once. */
const LONGEST = 2 ** 31 - 1
/** How long an attempt may go on after its signal has aborted, and a disposal after `close`, in milliseconds. */
const GRACE = 1000

interface Waiter<C> {
  resolve(connection: C): void
  reject(error: unknown): void
}

/**
 * Keeps one thing connected: one attempt at a time over a pool of addresses, backoff between attempts. It owns neither
 * buffers nor the choice between two connections.
 *
 * @typeParam A an address
 * @typeParam C what a successful attempt gives
 */
export class Reconnector<A, C extends object> {
  readonly #options: ReconnectorOptions<A, C>
  readonly #policy: Policy
  readonly #attemptTimeout: number
  #machine = initialMachine<C>()
  readonly #inputs: Input<C>[] = []
  #stepping = false
  #timer: { cancel(): void } | undefined // while waiting
  /** The attempt in flight, or the last one on its way out. */
  #flight: { readonly controller: AbortController; readonly over: Promise<void> } | undefined
  readonly #waiters = new Set<Waiter<C>>()
  readonly #disposals = new Set<Promise<void>>()
  /** Connections that were lost before they were known here. */
  readonly #dead = new WeakMap<C, { readonly error: unknown }>()
  #closing: Promise<void> | undefined

  /** @throws RangeError for options that make no sense */
  constructor(options: ReconnectorOptions<A, C>) {
    const { maxAttempts = -1, attemptTimeout = 30_000, random } = options
    if (!(attemptTimeout > 0))
      throw new RangeError(`attemptTimeout must be a number above 0, got ${String(attemptTimeout)}`)
    if (!Number.isInteger(maxAttempts) || maxAttempts < -1)
      throw new RangeError(`maxAttempts must be an integer of at least -1, got ${String(maxAttempts)}`)
    this.#options = options
    this.#attemptTimeout = attemptTimeout
    const standard = backoff(options.backoff ?? {}, random)
    this.#policy = {
      maxAttempts,
      delay: (attempt, error) =>
        options.delay === undefined ? standard(attempt) : ownDelay(() => options.delay?.(attempt, error)),
      giveUp: (error, previous) =>
        (error instanceof ReconnectError && error.code === 'NO_ADDRESS') ||
        guarded(() => options.giveUp?.(error, previous) === true, false),
    }
  }

  /** Where it is now. */
  get state(): ReconnectorState<C> {
    return this.#machine.state
  }

  /**
   * What is up, or the outcome of the attempt in flight; from `idle`, `failed` and `waiting` an attempt begins at once
   * (one that cuts a wait short is not counted when it fails: the same wait begins anew).
   * From success on it is kept connected. Callers share the attempt; when the last of them aborts, it is called off,
   * unless it runs for `keep`'s sake.
   *
   * Rejects with the attempt's error, with the signal's reason, or with what `cancel` or `close` was told.
   */
  connect({ signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<C> {
    const { state } = this
    if (state.name === 'closed') return Promise.reject(new ReconnectError('CLOSED', 'it is closed'))
    if (signal?.aborted === true) return Promise.reject(signal.reason)
    if (state.name === 'up' && !this.#dead.has(state.connection)) return Promise.resolve(state.connection)
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#waiters.delete(waiter)
        signal?.removeEventListener('abort', abort)
      }
      const abort = (): void => {
        waiter.reject(signal?.reason)
        if (this.#waiters.size === 0) this.#send({ type: 'deserted' })
      }
      const waiter: Waiter<C> = {
        resolve: (connection) => {
          leave()
          resolve(connection)
        },
        reject: (error) => {
          leave()
          reject(error)
        },
      }
      // Not before its turn: what is still to happen before it is not meant for it.
      const join = (): void => {
        if (signal?.aborted === true) return waiter.reject(signal.reason)
        signal?.addEventListener('abort', abort, { once: true })
        this.#waiters.add(waiter)
      }
      this.#send({ type: 'connect', join })
    })
  }

  /** From now on it is kept connected, whether or not anyone waits for it, and failures are followed by other attempts. */
  keep(): void {
    this.#send({ type: 'keep' })
  }

  /** Something connected by other means: ends the attempt in flight or the wait for one, and is kept from here on. */
  adopt(connection: C): void {
    if (!this.#dead.has(connection)) this.#send({ type: 'adopt', connection })
  }

  /** What is up has lasted: attempts count from 1 again. Does nothing unless it is this connection that is up. */
  confirm(connection: C): void {
    this.#send({ type: 'confirm', connection })
  }

  /** This connection is no more. Does nothing unless it is up, or about to be. */
  lost(connection: C, error: unknown): void {
    this.#dead.set(connection, { error })
    this.#send({ type: 'lost', connection, error })
  }

  /** Ends a wait. */
  retryNow(): void {
    this.#send({ type: 'due' })
  }

  /**
   * Back to `idle`, whatever there is: the attempt is called off, what is up is disposed of, and nothing is kept.
   * Resolves when the attempt that was in flight, and everything disposed of, is gone.
   */
  cancel(error: unknown = new ReconnectError('CANCELLED', 'it was called off')): Promise<void> {
    this.#send({ type: 'cancel', error })
    return this.#gone()
  }

  /** The same, for good; all calls get one promise. */
  close(error: unknown = new ReconnectError('CLOSED', 'it was closed')): Promise<void> {
    if (this.#closing === undefined) {
      this.#send({ type: 'close', error })
      this.#closing = this.#gone()
    }
    return this.#closing
  }

  async #gone(): Promise<void> {
    await this.#flight?.over
    if (this.#disposals.size === 0) return
    let timer: { cancel(): void } | undefined // until everything is disposed of
    const enough = new Promise<void>((resolve) => {
      timer = this.#options.clock.setTimer(resolve, GRACE)
    })
    await Promise.race([Promise.all(this.#disposals), enough])
    timer?.cancel()
  }

  /** One step after the other: what a callback asks for comes after everything that the step in progress does. */
  #send(input: Input<C>): void {
    this.#inputs.push(input)
    if (this.#stepping) return
    this.#stepping = true
    try {
      for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift()) this.#step(next)
    } finally {
      this.#stepping = false
    }
  }

  #step(input: Input<C>): void {
    const before = this.#machine.state
    if (input.type === 'connect') {
      if (before.name !== 'closed') input.join()
      if (before.name === 'up') this.#perform({ type: 'resolve', connection: before.connection })
    }
    const { machine, effects } = transition(this.#machine, input, this.#policy)
    this.#machine = machine
    for (const effect of effects) this.#perform(effect)
    if (machine.state !== before) guarded(() => this.#options.onState?.(machine.state), undefined)
  }

  #perform(effect: Effect<C>): void {
    switch (effect.type) {
      case 'attempt': {
        const controller = new AbortController()
        const over = this.#fly(effect.attempt, controller.signal, this.#flight?.over)
        this.#flight = { controller, over }
        return
      }
      case 'abort':
        this.#timer?.cancel()
        this.#timer = undefined
        this.#flight?.controller.abort(new ReconnectError('CANCELLED', 'the attempt was called off'))
        return
      case 'wait':
        return this.#wait(effect.delay)
      case 'dispose':
        return this.#dispose(effect.connection)
      case 'resolve':
        for (const waiter of [...this.#waiters]) waiter.resolve(effect.connection)
        return
      case 'reject':
        for (const waiter of [...this.#waiters]) waiter.reject(effect.error)
        return
    }
  }

  #wait(delay: number): void {
    if (delay === Number.POSITIVE_INFINITY) return
    this.#timer = this.#options.clock.setTimer(
      () => {
        this.#timer = undefined
        if (delay > LONGEST) this.#wait(delay - LONGEST)
        else this.#send({ type: 'due' })
      },
      Math.min(delay, LONGEST),
    )
  }

  /** One attempt, from the end of the one before. Never rejects. */
  async #fly(attempt: number, signal: AbortSignal, before: Promise<void> | undefined): Promise<void> {
    await before
    if (signal.aborted) return
    try {
      const connection = await this.#tryEach(attempt, signal)
      const dead = this.#dead.get(connection)
      if (!signal.aborted) {
        return this.#send(
          dead === undefined ? { type: 'succeeded', connection } : { type: 'failed', error: dead.error },
        )
      }
      this.#disposeLate(connection)
    } catch (error) {
      if (!signal.aborted) this.#send({ type: 'failed', error })
    }
  }

  async #tryEach(attempt: number, signal: AbortSignal): Promise<C> {
    const { pool } = this.#options
    const tried = new Set<A>()
    const errors: unknown[] = []
    // Until every address was tried: more may be added meanwhile, and others leave the rotation.
    for (let left = pool.size; left > 0; left--) {
      const address = pool.next()
      if (address === undefined || tried.has(address)) continue
      try {
        const connection = await this.#tryOne(address, signal, { attempt, tried: tried.size })
        pool.succeeded(address)
        return connection
      } catch (error) {
        if (signal.aborted) throw error // nobody's failure
        if (guarded(() => this.#options.concernsAll?.(error) === true, false)) throw error
        pool.failed(address, error)
        errors.push(error)
      }
      tried.add(address)
      left = pool.size + 1
    }
    if (errors.length === 0) throw new ReconnectError('NO_ADDRESS', 'there is no address to try')
    const standard = errors.length === 1 ? errors[0] : new AggregateError(errors, 'no address worked')
    throw this.#options.combine === undefined ? standard : guarded(() => this.#options.combine?.(errors), standard)
  }

  /** One address, within the time-out. An attempt that ignores its signal is left alone after a while. */
  #tryOne(address: A, signal: AbortSignal, context: AttemptContext): Promise<C> {
    const { clock, attempt } = this.#options
    const limit = new AbortController()
    const abort = (): void => limit.abort(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    let timer: { cancel(): void } | undefined // until the attempt ends: its time-out, then the grace
    if (this.#attemptTimeout <= LONGEST) {
      const text = `an attempt took longer than ${this.#attemptTimeout} ms`
      timer = clock.setTimer(() => limit.abort(new ReconnectError('TIMEOUT', text)), this.#attemptTimeout)
    }
    return new Promise<C>((resolve, reject) => {
      let over = false
      const end = (): boolean => {
        const first = !over
        over = true
        timer?.cancel()
        signal.removeEventListener('abort', abort)
        return first
      }
      limit.signal.addEventListener(
        'abort',
        () => {
          timer?.cancel()
          timer = clock.setTimer(() => end() && reject(limit.signal.reason), GRACE)
        },
        { once: true },
      )
      // Inside a promise, so that what it throws at once is a failure like others.
      new Promise<C>((began) => began(attempt(address, limit.signal, context))).then(
        (connection) => {
          const inTime = end() && (!limit.signal.aborted || signal.aborted)
          if (inTime) return resolve(connection)
          this.#disposeLate(connection)
          reject(limit.signal.reason)
        },
        (error) => end() && reject(limit.signal.aborted && !signal.aborted ? limit.signal.reason : error),
      )
    })
  }

  /** A success that nobody waits for any more; unless it is what is up, adopted before its attempt has ended. */
  #disposeLate(connection: C): void {
    const { state } = this
    if (!(state.name === 'up' && state.connection === connection)) this.#dispose(connection)
  }

  #dispose(connection: C): void {
    const disposal = Promise.resolve(guarded(() => this.#options.dispose(connection), undefined))
      .catch(throwLater)
      .finally(() => this.#disposals.delete(disposal))
    this.#disposals.add(disposal)
  }
}
