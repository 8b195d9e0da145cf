import fc from 'fast-check'
import { expect, test } from 'vitest'
import { AddressPool, Reconnector } from '../src/index.ts'

// Histories driven by fast-check's scheduler: it decides when attempts end (also after they were called off), when a
// wait is over, and when the next command is given.

type Command =
  | { do: 'connect' | 'keep' | 'adopt' | 'confirm' | 'lost' | 'retryNow' | 'cancel' | 'abort'; which: number }
  | { do: 'close'; which: number }

const command: fc.Arbitrary<Command> = fc.record({
  do: fc.oneof(
    { weight: 12, arbitrary: fc.constantFrom('connect', 'keep', 'adopt', 'confirm', 'lost', 'retryNow', 'abort') },
    { weight: 2, arbitrary: fc.constant('cancel' as const) },
    { weight: 1, arbitrary: fc.constant('close' as const) },
  ) as fc.Arbitrary<'connect'>,
  which: fc.nat(3),
})
const attemptOutcome = fc.constantFrom(
  'success',
  'failure',
  'failure',
  'same authentication error',
  'ignores the signal',
)

interface Line {
  open: boolean
}

test('10,000 histories: one attempt at a time, every waiter woken once, nothing left open that is not up', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.array(command, { minLength: 1, maxLength: 14 }),
      fc.array(attemptOutcome, { maxLength: 8 }),
      fc.integer({ min: -1, max: 3 }),
      async (scheduler, commands, outcomes, maxAttempts) => {
        let running = 0
        let timers = 0
        let closed = false
        const lines: Line[] = []
        const line = (): Line => {
          const made = { open: true }
          lines.push(made)
          return made
        }
        const reconnector = new Reconnector<string, Line>({
          pool: new AddressPool(['a', 'b']),
          maxAttempts,
          attemptTimeout: Number.POSITIVE_INFINITY,
          backoff: { baseDelay: 7 },
          random: () => 0.5,
          clock: {
            setTimer(task, delay) {
              // Every attempt ends by itself here, in whatever order: nobody waits as long as a second for one.
              if (delay === 1000) return { cancel() {} }
              timers++
              let set = true
              const cancel = (): void => {
                if (set) timers--
                set = false
              }
              void scheduler.schedule(Promise.resolve('timer')).then(() => {
                if (!set) return
                cancel()
                task()
              })
              return { cancel }
            },
          },
          giveUp: (error, previous) => error === 'authentication' && previous === error,
          async attempt(_, signal) {
            expect(closed, 'nothing begins after close').toBe(false)
            expect(++running, 'one attempt at a time').toBe(1)
            try {
              const outcome = outcomes.shift() ?? 'success'
              await scheduler.schedule(Promise.resolve(outcome))
              if (signal.aborted && outcome !== 'ignores the signal') throw signal.reason
              if (outcome === 'failure') throw 'io'
              if (outcome === 'same authentication error') throw 'authentication'
              return line()
            } finally {
              running--
            }
          },
          dispose(connection) {
            expect(connection.open, 'disposed of once').toBe(true)
            connection.open = false
          },
        })

        const waiters: { controller: AbortController; woken: number }[] = []
        const run = (step: Command): void => {
          const before = reconnector.state
          switch (step.do) {
            case 'connect': {
              const controller = new AbortController()
              const waiter = { controller, woken: 0 }
              waiters.push(waiter)
              const woken = (): void => void waiter.woken++
              reconnector.connect({ signal: controller.signal }).then(woken, woken)
              return
            }
            case 'abort':
              return waiters.at(-1 - step.which)?.controller.abort('aborted')
            case 'adopt':
              return reconnector.adopt(line())
            case 'lost': {
              if (before.name === 'up') before.connection.open = false
              reconnector.lost(before.name === 'up' ? before.connection : { open: false }, 'cut')
              if (before.name !== 'up') expect(reconnector.state).toBe(before)
              return
            }
            case 'cancel':
              return void reconnector.cancel('cancelled')
            case 'close':
              closed = true
              return void reconnector.close('closed')
            case 'confirm':
              if (before.name === 'up') reconnector.confirm(before.connection)
              return
            default:
              return reconnector[step.do]()
          }
        }
        const { done } = {
          done: scheduler.scheduleSequence(
            commands.map((step) => ({ label: step.do, builder: async () => run(step) })),
          ),
        }
        await scheduler.waitFor(Promise.resolve(done))
        await scheduler.waitIdle()

        // The network is healed: every further attempt succeeds, so nobody may still be waiting, and nothing waits to be tried.
        expect(waiters.map(({ woken }) => woken)).toEqual(waiters.map(() => 1))
        expect(['idle', 'up', 'failed', 'closed']).toContain(reconnector.state.name)
        expect([running, timers]).toEqual([0, 0])
        const { state } = reconnector
        expect(lines.filter(({ open }) => open)).toEqual(state.name === 'up' ? [state.connection] : [])
        closed = true
        await reconnector.close()
        expect([lines.some(({ open }) => open), timers]).toEqual([false, 0])
      },
    ),
    { numRuns: 10_000 },
  )
})
