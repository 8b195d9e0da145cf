import { SimulatedClock } from '@glueberry/testkit'
import { AddressPool, Reconnector, type ReconnectorOptions, type ReconnectorState } from '../src/index.ts'

/** A connection, and what became of it. */
export interface Line {
  readonly name: string
  disposed: number
}

/** One attempt that a test settles by hand. */
export interface Attempt {
  readonly address: string
  readonly attempt: number
  readonly signal: AbortSignal
  succeed(): Line
  fail(error: unknown): void
}

/** A reconnector whose attempts end when the test says so. */
export class Bench {
  readonly clock: SimulatedClock = new SimulatedClock()
  readonly attempts: Attempt[] = []
  readonly states: ReconnectorState<Line>[] = []
  readonly disposed: Line[] = []
  readonly pool: AddressPool<string>
  readonly reconnector: Reconnector<string, Line>

  constructor(options: Partial<ReconnectorOptions<string, Line>> = {}) {
    this.pool = options.pool ?? new AddressPool(['a'])
    this.reconnector = new Reconnector<string, Line>({
      clock: this.clock,
      random: () => 0.5,
      backoff: { jitter: 'none', baseDelay: 100 },
      attempt: (address, signal, { attempt }) =>
        new Promise((resolve, reject) => {
          const line: Line = { name: `${address}${this.attempts.length}`, disposed: 0 }
          this.attempts.push({
            address,
            attempt,
            signal,
            succeed: () => {
              resolve(line)
              return line
            },
            fail: reject,
          })
        }),
      dispose: (line) => {
        line.disposed++
        this.disposed.push(line)
      },
      onState: (state) => this.states.push(state),
      ...options,
      pool: this.pool,
    })
  }

  get names(): string[] {
    return this.states.map(({ name }) => name)
  }

  /** The last attempt that has begun. */
  get last(): Attempt {
    return this.attempts.at(-1) as Attempt
  }

  /** The line that is up; another one when none is. */
  get #line(): Line {
    const { state } = this.reconnector
    return state.name === 'up' ? state.connection : { name: 'none', disposed: 0 }
  }

  /** What is up has lasted. */
  confirm(): void {
    this.reconnector.confirm(this.#line)
  }

  /** What is up breaks. */
  lose(error: unknown): void {
    this.reconnector.lost(this.#line, error)
  }

  /** Connects, and returns the line. */
  async up(): Promise<Line> {
    const connecting = this.reconnector.connect()
    await settled()
    this.last.succeed()
    return connecting
  }
}

/** When everything that can happen without time passing has happened. */
export const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
