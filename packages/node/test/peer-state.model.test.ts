import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type ConnectionInput, type ConnectionState, INITIAL_STATE, transition } from '../src/connection/state.ts'

const reason = fc
  .constantFrom('io', 'remote', 'protocol', 'authentication', 'timeout', 'local')
  .map((kind) => ({ kind }) as const)
const direction = fc.constantFrom('inbound' as const, 'outbound' as const)
const input: fc.Arbitrary<ConnectionInput> = fc.oneof(
  fc.constant({ type: 'dial' as const }),
  fc.record({ type: fc.constant('authenticated' as const), direction }),
  fc.record({ type: fc.constant('established' as const), direction, resumed: fc.boolean() }),
  fc.record({ type: fc.constant('lost' as const), reason }),
  fc.record({
    type: fc.constant('lost' as const),
    reason,
    retry: fc.record({ attempt: fc.integer({ min: 1, max: 9 }), delay: fc.nat(100), at: fc.nat(1000) }),
  }),
  fc.record({ type: fc.constant('refused' as const), until: fc.nat(1000), reason }),
  fc.constant({ type: 'cooldown-over' as const }),
  fc.constant({ type: 'drain' as const }),
  fc.record({
    type: fc.constant('close' as const),
    reason: fc.constantFrom('removed', 'blocked', 'gave-up', 'expired', 'stopped'),
  }),
)

test('10,000 histories of inputs: the events tell a story that makes sense, and the state is what they tell', () => {
  fc.assert(
    fc.property(fc.array(input, { maxLength: 40 }), (inputs) => {
      let state: ConnectionState = INITIAL_STATE
      // What somebody knows who sees the events alone.
      let told: string = 'disconnected'
      let lostOne = false // an established session has ended, and not by this program
      for (const each of inputs) {
        const before = state
        const result = transition(before, each)
        state = result.state
        for (const event of result.events) {
          expect(told, 'nothing is told after `closed`').not.toBe('closed')
          switch (event.type) {
            case 'connecting':
              expect(told).toMatch(/disconnected|cooldown/)
              break
            case 'connected':
              expect(told).not.toMatch(/^(connected|established)$/)
              break
            case 'reconnecting':
              expect(told, 'disconnected comes before reconnecting').toMatch(/disconnected|reconnecting|cooldown/)
              break
            case 'disconnected':
              expect(told, 'nobody is told twice').not.toBe('disconnected')
              if (told === 'established' && event.reason.kind !== 'local') lostOne = true
              break
            case 'reconnected':
              expect([told, lostOne]).toEqual(['established', true])
              lostOne = false
              continue
          }
          told = event.type
        }
        if (told === 'established')
          expect(lostOne && result.events.length > 0 && each.type === 'established').toBe(false)
        const shown = state.name === 'draining' ? 'established' : state.name
        // The end of a cooldown, and a dial in a backoff, are not worth an event.
        if (!(shown === 'disconnected' && told === 'cooldown')) expect(shown).toBe(told)
        expect(state.retry !== undefined).toBe(state.name === 'reconnecting')
        expect(state.until !== undefined).toBe(state.name === 'cooldown')
        if (before.name === 'closed') expect(state).toBe(before)
      }
    }),
    { numRuns: 10_000 },
  )
})
