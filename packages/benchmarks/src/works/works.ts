import type { Case, Figures } from '../results.ts'
import { flooded, hundredPeers, slowConsumer, unreadName } from './flow.ts'
import { backlog, idlePeers, keptMessages, usedNames } from './memory.ts'
import { afterCut, firstMessage } from './recovery.ts'
import { room, turnover } from './room.ts'
import type { Timing } from './timing.ts'
import { traffic } from './traffic.ts'
import { trips } from './trips.ts'

/** Something that is measured, with the cases in which it is. */
export interface Work {
  readonly title: string
  /** It takes so long that it runs once, however many runs are asked for. */
  readonly once?: true
  run(measured: Case, timing: Timing): Promise<Figures>
  /** The cases for one contender; none where it has no such thing. */
  cases(contender: string, sizes: readonly number[]): readonly Partial<Case>[]
}

const OURS = 'node'
const KIB = 1024

const oneWay = (measured: Case, timing: Timing): Promise<Figures> => traffic(measured, timing, false)
const only = (contenders: readonly string[], cases: readonly Partial<Case>[]) => (contender: string) =>
  contenders.includes(contender) ? cases : []
/** More of a scale for this library, whose cost is plotted; its ends for everyone. */
const scale = (key: 'names' | 'peers', all: readonly number[], ends: readonly number[]) => (contender: string) =>
  (contender === OURS ? all : ends).map((count) => ({ [key]: count }))

/** Everything that is measured, by the name that `--work` takes. */
export const WORKS: Readonly<Record<string, Work>> = {
  rate: {
    title: 'messages one way',
    run: oneWay,
    cases: (_, sizes) => sizes.map((size) => ({ size })),
  },
  trips: {
    title: 'round trips',
    run: trips,
    cases: () => [{ outstanding: 1 }, { outstanding: 100 }],
  },
  both: {
    title: 'messages both ways at once',
    run: (measured, timing) => traffic(measured, timing, true),
    cases: () => [{}],
  },
  names: {
    title: 'messages on several names',
    run: oneWay,
    cases: scale('names', [2, 4, 8], [8]),
  },
  peers: {
    title: 'messages of several peers to one node',
    run: oneWay,
    cases: scale('peers', [2, 4, 8, 16], [16]),
  },
  first: {
    title: 'the first message',
    run: firstMessage,
    cases: () => [{}],
  },
  cut: { title: 'the first message after a cut', run: afterCut, cases: only([OURS], [{}]) },
  idle: { title: 'idle peers', run: idlePeers, cases: only([OURS, 'libp2p'], [{}]) },
  used: { title: 'names that are used once', run: usedNames, cases: only([OURS], [{}]) },
  kept: { title: 'messages that are kept', run: keptMessages, cases: only([OURS], [{}, { size: KIB }]) },
  backlog: {
    title: 'messages that wait for a slow application',
    run: backlog,
    cases: only(
      [OURS],
      [100, 1000, 10_000, 25_000].map((outstanding) => ({ outstanding })),
    ),
  },
  slow: { title: 'a slow application', run: slowConsumer, cases: only([OURS], [{}]) },
  unread: { title: '64 names, one never read', run: unreadName, cases: only([OURS], [{}]) },
  flood: { title: 'beside a flood', run: flooded, cases: only([OURS], [{ size: KIB }]) },
  room: {
    title: 'many peers of one node',
    once: true,
    run: room,
    cases: only(
      [OURS],
      [
        ...[1, 10, 100, 1000].map((peers) => ({ peers })),
        ...[8, 64].map((names) => ({ peers: 1000, names })),
        { peers: 10_000 },
      ],
    ),
  },
  turnover: {
    title: 'peers that were busy, and others after them',
    once: true,
    run: turnover,
    cases: only([OURS], [{ peers: 200, size: 64 * KIB }]),
  },
  hundred: { title: 'a hundred peers, nothing read', run: hundredPeers, cases: only([OURS], [{ size: 64 * KIB }]) },
}
