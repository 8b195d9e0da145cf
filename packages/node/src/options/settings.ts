import { STREAM_NAMES_MAX } from '@glueberry/wire'
import type { Multiaddr } from '../address.ts'
import type { AddressBookStore } from '../address-book/store.ts'
import type { Identity } from '../identity.ts'
import type { Logger } from '../observe/logger.ts'
import type { Metrics } from '../observe/metrics.ts'
import type { HandshakePeer, Verdict } from '../session/application-handshake.ts'
import type { Libp2pOptions, NodeOptions, ReconnectOptions } from './options.ts'

/** A group of integer options, filled in. */
export type Numbers<G extends keyof Ranges> = Readonly<Record<keyof Ranges[G], number>>

/** Every option, checked and filled in. */
export interface Settings {
  readonly identity: Identity
  readonly streams: readonly string[]
  readonly listen: readonly Multiaddr[]
  readonly network: string
  /** Measured when `undefined`. */
  readonly cipher: NodeOptions<string>['cipher']
  readonly handshake: ((peer: HandshakePeer) => Promise<Verdict>) | undefined
  readonly addressBook: string | AddressBookStore | undefined
  readonly reconnect: ReconnectSettings | undefined
  readonly flow: Numbers<'flow'> & { readonly overflow: 'wait' | 'error' }
  readonly heartbeat: Numbers<'heartbeat'>
  readonly timeouts: Numbers<'timeouts'>
  readonly limits: Numbers<'limits'>
  readonly logger: Logger
  readonly metrics: Metrics | undefined
  readonly signal: AbortSignal | undefined
  readonly libp2p: Libp2pOptions
}

/** How lost peers are tried again. */
export interface ReconnectSettings extends Numbers<'reconnect'> {
  readonly factor: number
  readonly jitter: 'full' | 'none' | number
  readonly attemptsPerAddress: number
  readonly delay?: NonNullable<ReconnectOptions['delay']>
}

const KiB = 1024
const MiB = 1024 * KiB
const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const YEAR = 365 * 24 * HOUR

/** An integer option: its default, its smallest and its largest value. */
export type Range = readonly [standard: number, min: number, max: number]
type Group<K extends string> = Readonly<Record<K, Range>>
export interface Ranges {
  readonly flow: Group<'window' | 'sendBuffer' | 'peerBudget' | 'nodeBudget'>
  readonly heartbeat: Group<'interval' | 'timeout'>
  readonly timeouts: Group<'connect' | 'handshake' | 'drain' | 'resume' | 'cooldown' | 'session'>
  readonly limits: Group<
    | 'messageSize'
    | 'connections'
    | 'pendingConnections'
    | 'pendingPerAddress'
    | 'pendingMemory'
    | 'backgroundDials'
    | 'waitingSends'
    | 'eventBuffer'
    | 'metadataSize'
    | 'streams'
    | 'sessionBytes'
  >
  readonly reconnect: Group<'maxAttempts' | 'firstDelay' | 'baseDelay' | 'maxDelay'>
}

/** Every integer option. */
export const RANGES: Ranges = {
  flow: {
    window: [8 * MiB, 1 * KiB, 1024 * MiB],
    sendBuffer: [8 * MiB, 0, 64 * 1024 * MiB],
    peerBudget: [64 * MiB, 1 * KiB, 64 * 1024 * MiB],
    nodeBudget: [512 * MiB, 1 * KiB, 1024 * 1024 * MiB],
  },
  heartbeat: { interval: [3 * SECOND, 10, YEAR], timeout: [9 * SECOND, 20, YEAR] },
  timeouts: {
    connect: [30 * SECOND, 1, YEAR],
    handshake: [30 * SECOND, 1, YEAR],
    drain: [30 * SECOND, 0, YEAR],
    resume: [10 * MINUTE, 0, YEAR],
    cooldown: [60 * SECOND, 0, YEAR],
    session: [HOUR, 1 * SECOND, YEAR],
  },
  limits: {
    messageSize: [1 * MiB, 1, 64 * MiB],
    connections: [300, 1, 1_000_000],
    pendingConnections: [64, 1, 1_000_000],
    pendingPerAddress: [8, 1, 1_000_000],
    pendingMemory: [16 * MiB, 64 * KiB, 64 * 1024 * MiB],
    backgroundDials: [32, 1, 10_000],
    waitingSends: [1024, 1, 1_000_000],
    eventBuffer: [100, 1, 1_000_000],
    metadataSize: [4 * KiB, 2, 1 * MiB],
    streams: [STREAM_NAMES_MAX, 1, STREAM_NAMES_MAX],
    sessionBytes: [2 ** 36, 64 * MiB, 2 ** 50],
  },
  reconnect: {
    maxAttempts: [-1, -1, 1_000_000_000],
    firstDelay: [0, 0, YEAR],
    baseDelay: [1 * SECOND, 0, YEAR],
    maxDelay: [5 * MINUTE, 0, YEAR],
  },
}
