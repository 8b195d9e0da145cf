import { expect, test } from 'vitest'
import { checkCredit, type Model } from './support/credit-model.ts'

const base = { pool: 1, firstWindow: 3, windowMax: 4, restarts: 1 }
const models: Readonly<Record<string, Model>> = {
  'two names of one peer': {
    ...base,
    peerBudget: 7,
    nodeBudget: 8,
    messages: [
      [
        [1, 3, 1],
        [2, 1],
      ],
    ],
  },
  'one name, two restarts': {
    ...{ ...base, restarts: 2, windowMax: 6 },
    ...{ peerBudget: 7, nodeBudget: 8, messages: [[[1, 3, 1, 2, 3]]] },
  },
  'two peers that fill the node': { ...base, peerBudget: 4, nodeBudget: 5, messages: [[[3]], [[2, 1]]] },
  'three peers that fill the node': {
    ...{ ...base, restarts: 0 },
    ...{ peerBudget: 4, nodeBudget: 6, messages: [[[3]], [[2]], [[3]]] },
  },
  'two names of two peers': { ...base, peerBudget: 6, nodeBudget: 7, messages: [[[2], [3]], [[1]]] },
  'a name that nobody reads': {
    ...{ ...base, peerBudget: 8, nodeBudget: 9 },
    ...{
      messages: [
        [
          [1, 3, 1],
          [3, 1],
        ],
      ],
      unread: [0, 0],
    },
  },
  'a name that nobody reads, and a window that grows': {
    ...{ ...base, peerBudget: 8, nodeBudget: 9 },
    ...{
      messages: [
        [
          [1, 1, 1, 1, 1, 3],
          [3, 3],
        ],
      ],
      unread: [0, 1],
    },
  },
  'a name that nobody reads, and another peer': {
    ...{ ...base, restarts: 0, peerBudget: 4, nodeBudget: 9 },
    ...{ messages: [[[1, 3]], [[3, 1]]], unread: [0, 0] },
  },
  'a name that nobody reads, and several restarts': {
    ...{ ...base, pool: 2, restarts: 2, peerBudget: 8, nodeBudget: 9 },
    ...{ messages: [[[1, 1, 1, 2, 2, 2], [3]]], unread: [0, 0] },
  },
  'a name that nobody reads, with large messages': {
    ...{ ...base, restarts: 2, peerBudget: 7, nodeBudget: 9 },
    ...{ messages: [[[3, 3, 3], [3]]], unread: [0, 0] },
  },
  'pauses in which credit is given back': {
    ...{ ...base, restarts: 0, pool: 2, pauses: true },
    ...{
      peerBudget: 7,
      nodeBudget: 8,
      messages: [
        [
          [3, 1, 3, 1],
          [1, 2],
        ],
      ],
    },
  },
  'windows that are no multiple of a message': {
    ...{ ...base, restarts: 0, pool: 0, firstWant: 3 },
    ...{ peerBudget: 4, nodeBudget: 4, messages: [[[2, 2]], [[2, 2]], [[2]]] },
  },
  'no pool': { ...base, pool: 0, peerBudget: 6, nodeBudget: 6, messages: [[[2, 1]], [[3, 1]]] },
  'a peer that gives nothing back': {
    ...{ ...base, peerBudget: 4, nodeBudget: 9 },
    ...{ messages: [[[3, 1, 2]], [[1], [1]]], hoarder: 1 },
  },
}

test.each(Object.entries(models))(
  '%s: in every order of events nothing waits for ever, no budget is passed, all credit comes back',
  (_, model) => {
    expect(checkCredit(model)).toBeGreaterThan(100)
  },
)

test.each([
  ['pools that shrink', 'a name that nobody reads, and several restarts', /waits for ever/],
  ['turns that are skipped', 'a name that nobody reads, and another peer', /waits for ever/],
  ['remainders that go back', 'windows that are no multiple of a message', /waits for ever/],
  ['names that wait for themselves', 'a name that nobody reads, with large messages', /waits for ever/],
  ['giving back', 'two peers that fill the node', /waits for ever|keeps credit/],
] as const)('without the rule of %s, "%s" goes wrong', (without, name, error) => {
  expect(() => checkCredit({ ...(models[name] as Model), without })).toThrow(error)
})
