/** How long things are measured. */
export interface Timing {
  /** Milliseconds. */
  readonly warmUp: number
  readonly measured: number
  /** Round trips that are measured, after a third as many to warm up. */
  readonly trips: number
  /** Where several are outstanding at once, at least so many of each: they are over quickly. */
  readonly tripsOfEach: number
  /** Peers that stay idle, for their memory. */
  readonly idlePeers: readonly number[]
  /** Messages that a slow application is sent, and that are kept. */
  readonly slowMessages: number
  readonly keptMessages: number
  /** Milliseconds in which what is under way arrives, where nothing can tell that it has. */
  readonly settle: number
  /** No more of them are in the room, whatever the case says. */
  readonly roomFor: number
  /** How long peers rest, in milliseconds, and how long so many of them. */
  readonly rest: number
  readonly longRest: number
  readonly longRestFrom: number
  /** How long all peers talk, in milliseconds. */
  readonly talk: number
  /** What each peer sends in all before others come, in MiB. */
  readonly mebibytes: number
  /** Starts and cuts that are measured. */
  readonly recoveries: number
  /** Names of the CPU profiles to write, if any. */
  readonly profile?: string
}

export const FULL: Timing = {
  warmUp: 1500,
  measured: 3000,
  trips: 6000,
  tripsOfEach: 500,
  idlePeers: [100, 1000],
  slowMessages: 1_000_000,
  keptMessages: 100_000,
  settle: 500,
  roomFor: 10_000,
  rest: 30_000,
  longRest: 600_000,
  longRestFrom: 10_000,
  talk: 15_000,
  mebibytes: 64,
  recoveries: 30,
}

/** Seconds in all: whether it works, not how fast. */
export const SMOKE: Timing = {
  warmUp: 20,
  measured: 50,
  trips: 60,
  tripsOfEach: 2,
  idlePeers: [3],
  slowMessages: 2000,
  keptMessages: 200,
  settle: 100,
  roomFor: 4,
  rest: 100,
  longRest: 100,
  longRestFrom: 10_000,
  talk: 100,
  mebibytes: 1,
  recoveries: 2,
}
