import { isStreamName, MESSAGE_OVERHEAD, NETWORK_NAME_MAX, STREAM_NAMES_MAX } from '@glueberry/wire'
import type { Libp2pOptions as AllLibp2pOptions } from 'libp2p'
import { checkMultiaddr, type Multiaddr } from './address.ts'
import type { AddressBookStore } from './address-book/store.ts'
import { isObject, show } from './check.ts'
import type { Clock } from './clock.ts'
import { GlueberryError } from './errors.ts'
import { Identity } from './identity.ts'
import { type Logger, safeLogger, silentLogger, stderrLogger } from './observe/logger.ts'
import type { Metrics } from './observe/metrics.ts'
import type { PeerId } from './peer-id.ts'
import type { HandshakePeer, Verdict } from './session/application-handshake.ts'

/** libp2p's own options, for transports and services beyond TCP. */
export type Libp2pOptions = Pick<Partial<AllLibp2pOptions>, 'transports' | 'services' | 'peerDiscovery' | 'addresses'>

/** How lost peers are tried again. Durations are milliseconds. */
export interface ReconnectOptions {
  /** After so many attempts in a row without success a peer is given up (`closed`, `gave-up`); −1, the default: never. */
  maxAttempts?: number | undefined
  /** Before the first attempt after a loss. Default 0: at once. */
  firstDelay?: number | undefined
  /** Before the second one. Default 1 s. */
  baseDelay?: number | undefined
  /** The longest wait. Default 5 min. */
  maxDelay?: number | undefined
  /** By how much each further wait is longer than the one before. Default 2. */
  factor?: number | undefined
  /**
   * What chance does to every wait but the first. `'full'` (default) takes any part of it, so that many nodes that lost
   * the same peer do not come back together; `'none'` all of it; a number from 0 to 1 takes ± so much of it.
   */
  jitter?: 'full' | 'none' | number | undefined
  /** After so many failures in a row an address is tried no more, until it is given again. Default: it always is. */
  attemptsPerAddress?: number | undefined
  /** In place of all that: how long to wait before an attempt; `Infinity` waits for `connect`. Attempts count from 1. */
  delay?:
    | ((attempt: number, context: { readonly peerId: PeerId; readonly error: GlueberryError }) => number)
    | undefined
}

/** The same, filled in. */
export interface ReconnectSettings extends Numbers<'reconnect'> {
  readonly factor: number
  readonly jitter: 'full' | 'none' | number
  readonly attemptsPerAddress: number
  readonly delay?: NonNullable<ReconnectOptions['delay']>
}

/** How a node is made. Durations are milliseconds, sizes bytes. */
export interface NodeOptions<S extends string> {
  /** Who this node is. Two running programs must not share one. */
  identity: Identity
  /** Names of the streams that this node accepts, at most `limits.streams`: 1 to 64 characters of `[A-Za-z0-9._-]`. */
  streams: readonly S[]
  /** Multiaddrs to listen on; port 0 takes a free one. Default: none, the node only dials. */
  listen?: readonly Multiaddr[] | undefined
  /** Nodes of different networks refuse one another. 1 to 64 characters, default `'default'`. */
  network?: string | undefined
  /** Decides about each peer, after it has been authenticated. Default: accepts everyone. */
  handshake?: ((peer: HandshakePeer) => Promise<Verdict>) | undefined
  /**
   * Where peers are kept beyond the program: the path of a JSON file, which no other node may use, or a store of your
   * own. Its peers are connected at start and kept connected. Default: in memory only.
   */
  addressBook?: string | AddressBookStore | undefined
  /** How lost peers are tried again; `false`: not, `connect` is the program's to call. */
  reconnect?: false | ReconnectOptions | undefined
  /** Credit and buffers. */
  flow?:
    | {
        /** Credit that a peer gets for one name, in cost: a message costs its size + 256. Default 8 MiB. */
        window?: number | undefined
        /** What is accepted and kept for a peer that is away, in cost. Default 8 MiB. */
        sendBuffer?: number | undefined
        /** What `send` does when that is full: wait (default), or reject with `BUFFER_FULL`. */
        overflow?: 'wait' | 'error' | undefined
        /** What one peer's unread messages may take here, and as much may be kept for it while it is connected. Default 64 MiB. */
        peerBudget?: number | undefined
        /** What all peers' unread messages together may take here, and as much may be kept for all. Default 512 MiB. */
        nodeBudget?: number | undefined
      }
    | undefined
  /** How silence is noticed. */
  heartbeat?:
    | {
        /** How often a peer is pinged. Default 3 s. */
        interval?: number | undefined
        /** After how much silence a peer is taken for dead; more than `interval`. Default 9 s. */
        timeout?: number | undefined
      }
    | undefined
  /** How long things may take. */
  timeouts?:
    | {
        /** For a dial. Default 30 s. */
        connect?: number | undefined
        /** From an inbound connection to its session's first byte, of which Noise and yamux have 20 s; and from there until the session is established. Default 30 s each. */
        handshake?: number | undefined
        /** For `drain`. Default 30 s. */
        drain?: number | undefined
        /** How long messages are kept for a peer that is away and cannot be dialed. Default 10 min. */
        resume?: number | undefined
        /** How long a refused peer is left alone, and not admitted. Default 60 s. */
        cooldown?: number | undefined
        /** How long a session's keys are used before they are renewed. Default 1 h, at least 1 s. */
        session?: number | undefined
      }
    | undefined
  /** How much of things there may be. */
  limits?:
    | {
        /** The largest message, sent or accepted. Default 1 MiB, at most 64 MiB, and it must fit into `flow.window`. */
        messageSize?: number | undefined
        /** Connections at once. Default 300. */
        connections?: number | undefined
        /** Inbound connections that are not yet established; one more takes the place of the oldest of the origin that holds most, known peers' last. Default 64. */
        pendingConnections?: number | undefined
        /** The same, from one IPv4 address or IPv6 /64; one more is refused, unless one of them has taken more than a second. Default 8. */
        pendingPerAddress?: number | undefined
        /** Bytes that are held for everything that is not established, connections and sessions under way; beyond it the newest stranger goes. Default 16 MiB. */
        pendingMemory?: number | undefined
        /** Dials under way at once, apart from those that a call of `connect` waits for. Default 32. */
        backgroundDials?: number | undefined
        /** Calls of `send` that may wait for one peer and name. Default 1,024. */
        waitingSends?: number | undefined
        /** Events that are kept for one subscriber. Default 100. */
        eventBuffer?: number | undefined
        /** Metadata of one peer, as JSON. Default 4 KiB. */
        metadataSize?: number | undefined
        /** Names that this node accepts. Default and largest 64. */
        streams?: number | undefined
        /** How many bytes a session's keys protect before they are renewed. Default 2^36, at least 64 MiB; more where that is little beside eight largest messages for each name of both sides. */
        sessionBytes?: number | undefined
      }
    | undefined
  /** Default: warnings and errors go to stderr, each kind at most once in ten seconds; `false`: nowhere. `console` fits; pino takes its arguments the other way round: `info: (text, fields) => pino.info(fields, text)`. */
  logger?: Logger | false | undefined
  /** What is counted and measured goes there. Default: nowhere. */
  metrics?: Metrics | undefined
  /** Stops the node when it aborts. */
  signal?: AbortSignal | undefined
  /** Transports and services beyond TCP, as libp2p takes them. On one connection the remote may have 184 streams open, and ask for 128 streams and pings at once and 300 more in each second, those of services included. */
  libp2p?: Libp2pOptions | undefined
}

/** A group of integer options, filled in. */
type Numbers<G extends keyof Ranges> = Readonly<Record<keyof Ranges[G], number>>

/** Every option, checked and filled in. */
export interface Settings {
  readonly identity: Identity
  readonly streams: readonly string[]
  readonly listen: readonly Multiaddr[]
  readonly network: string
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

const KiB = 1024
const MiB = 1024 * KiB
const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const YEAR = 365 * 24 * HOUR

/** An integer option: its default, its smallest and its largest value. */
type Range = readonly [standard: number, min: number, max: number]
type Group<K extends string> = Readonly<Record<K, Range>>
interface Ranges {
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

const RANGES: Ranges = {
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

/** Options of a group that are no integers; checked by themselves. */
const OTHERS: Partial<Record<keyof Ranges, readonly string[]>> = {
  flow: ['overflow'],
  reconnect: ['factor', 'jitter', 'delay', 'attemptsPerAddress'],
}

const KNOWN = new Set([
  ...['identity', 'streams', 'listen', 'network', 'handshake', 'addressBook', 'logger', 'metrics', 'signal', 'libp2p'],
  ...Object.keys(RANGES),
])

/** Budgets are told in bytes of messages; the cost of one message's overhead for each name comes on top. */
export const BUDGET_SLACK: number = STREAM_NAMES_MAX * MESSAGE_OVERHEAD

/** Credit that each of so many names begins with: one largest message at least, 256 KiB where the budget has room for that. */
export function firstWindow({ flow, limits }: Pick<Settings, 'flow' | 'limits'>, names: number): number {
  const share = Math.min(256 * KiB, Math.floor(flow.peerBudget / Math.max(1, names)))
  return Math.min(flow.window, Math.max(limits.messageSize + MESSAGE_OVERHEAD, share))
}

/**
 * Checks all options at once and fills in the defaults.
 *
 * @throws GlueberryError `INVALID_OPTION` that names every bad one, what it got and what it wants
 */
export function verifyOptions(options: NodeOptions<string>, clock: Clock): Settings {
  const problems: string[] = []
  const expect = (holds: boolean, name: string, wanted: string, got: unknown): boolean => {
    if (!holds) problems.push(`${name} must be ${wanted}, got ${show(got)}`)
    return holds
  }
  if (!expect(isObject(options), 'options', 'an object', options)) throw invalid(problems)

  for (const name of Object.keys(options)) {
    if (!KNOWN.has(name)) problems.push(`${name} is not an option`)
  }
  expect(
    options.identity instanceof Identity,
    'identity',
    'an Identity, as Identity.generate() makes one',
    isSecret(options.identity) ? typeof options.identity : options.identity, // a seed is shown to nobody
  )

  const group = <G extends keyof Ranges>(name: G): Numbers<G> => {
    const given = (options[name] === undefined ? {} : options[name]) as Record<string, unknown>
    const ranges: Record<string, Range> = RANGES[name]
    const values = Object.fromEntries(Object.entries(ranges).map(([key, [standard]]) => [key, standard]))
    if (expect(isObject(given), name, name === 'reconnect' ? 'false or an object' : 'an object', given)) {
      for (const [key, value] of Object.entries(given)) {
        const range = Object.hasOwn(ranges, key) ? ranges[key] : undefined
        if (range === undefined) {
          if (OTHERS[name]?.includes(key) !== true) problems.push(`${name}.${key} is not an option`)
          continue
        }
        if (value === undefined) continue
        const [, min, max] = range
        const fits = Number.isInteger(value) && (value as number) >= min && (value as number) <= max
        expect(fits, `${name}.${key}`, `an integer from ${min} to ${max}`, value)
        values[key] = value as number
      }
    }
    return values as Numbers<G>
  }
  const overflow = (isObject(options.flow) ? options.flow.overflow : undefined) ?? 'wait'
  const flow = { ...group('flow'), overflow }
  const {
    factor = 2,
    jitter = 'full',
    attemptsPerAddress = Number.POSITIVE_INFINITY,
    delay,
  } = isObject(options.reconnect) ? options.reconnect : {}
  const reconnect =
    options.reconnect === false
      ? undefined
      : { ...group('reconnect'), factor, jitter, attemptsPerAddress, ...(delay === undefined ? {} : { delay }) }
  expect(
    typeof factor === 'number' && factor >= 1 && factor <= 1000,
    'reconnect.factor',
    'a number from 1 to 1000',
    factor,
  )
  expect(
    jitter === 'full' || jitter === 'none' || (typeof jitter === 'number' && jitter >= 0 && jitter <= 1),
    'reconnect.jitter',
    "'full', 'none' or a number from 0 to 1",
    jitter,
  )
  expect(
    attemptsPerAddress === Number.POSITIVE_INFINITY ||
      (Number.isInteger(attemptsPerAddress) && attemptsPerAddress >= 1),
    'reconnect.attemptsPerAddress',
    'an integer of at least 1',
    attemptsPerAddress,
  )
  expect(delay === undefined || typeof delay === 'function', 'reconnect.delay', 'a function', delay)
  const heartbeat = group('heartbeat')
  const timeouts = group('timeouts')
  const limits = group('limits')
  expect(overflow === 'wait' || overflow === 'error', 'flow.overflow', "'wait' or 'error'", overflow)
  expect(
    heartbeat.timeout > heartbeat.interval,
    'heartbeat.timeout',
    `more than heartbeat.interval (${heartbeat.interval})`,
    heartbeat.timeout,
  )

  const streams = options.streams
  if (expect(Array.isArray(streams), 'streams', 'a list of names', streams)) {
    for (const name of streams) {
      expect(
        typeof name === 'string' && isStreamName(name),
        'streams',
        'names of 1 to 64 characters of [A-Za-z0-9._-]',
        name,
      )
    }
    expect(new Set(streams).size === streams.length, 'streams', 'names that are all different', streams)
    expect(
      streams.length <= limits.streams,
      'streams',
      `at most limits.streams (${limits.streams}) names`,
      streams.length,
    )
  }

  const listen = options.listen === undefined ? [] : options.listen
  if (expect(Array.isArray(listen), 'listen', 'a list of multiaddrs', listen)) {
    for (const address of listen) {
      try {
        checkMultiaddr(address)
      } catch {
        expect(false, 'listen', 'multiaddrs such as /ip4/127.0.0.1/tcp/0', address)
      }
    }
  }

  const network = options.network === undefined ? 'default' : options.network
  expect(
    typeof network === 'string' && network.length >= 1 && network.length <= NETWORK_NAME_MAX,
    'network',
    `a text of 1 to ${NETWORK_NAME_MAX} characters`,
    network,
  )
  expect(
    options.handshake === undefined || typeof options.handshake === 'function',
    'handshake',
    'a function',
    options.handshake,
  )
  const { addressBook } = options
  expect(
    addressBook === undefined ||
      (typeof addressBook === 'string' && addressBook !== '' && !addressBook.includes('\0')) ||
      (isObject(addressBook) && typeof addressBook.load === 'function' && typeof addressBook.save === 'function'),
    'addressBook',
    'the path of a file, or an object with load and save',
    addressBook,
  )
  expect(
    options.signal === undefined || options.signal instanceof AbortSignal,
    'signal',
    'an AbortSignal',
    options.signal,
  )
  expect(options.libp2p === undefined || isObject(options.libp2p), 'libp2p', 'an object', options.libp2p)
  const logger =
    options.logger === undefined ? stderrLogger(clock) : options.logger === false ? silentLogger : options.logger
  for (const level of ['debug', 'info', 'warn', 'error'] as const) {
    expect(
      typeof (logger as Partial<Logger> | null)?.[level] === 'function',
      `logger.${level}`,
      'a function',
      (logger as Partial<Logger> | null)?.[level],
    )
  }

  const { metrics } = options
  if (expect(metrics === undefined || isObject(metrics), 'metrics', 'an object', metrics) && metrics !== undefined) {
    for (const method of ['counter', 'gauge', 'histogram'] as const) {
      expect(typeof metrics[method] === 'function', `metrics.${method}`, 'a function', metrics[method])
    }
  }

  if (problems.length === 0) problems.push(...budgetProblems(flow, limits.messageSize, streams.length))
  if (problems.length > 0) throw invalid(problems)
  return {
    identity: options.identity,
    streams: [...streams],
    listen: [...listen],
    network,
    handshake: options.handshake,
    addressBook,
    reconnect,
    flow,
    heartbeat,
    timeouts,
    limits,
    logger: logger === silentLogger ? logger : safeLogger(logger),
    metrics,
    signal: options.signal,
    libp2p: options.libp2p ?? {},
  }
}

/** What of these cannot hold: every name of a peer must have room for one largest message, or names would starve one another. */
export function budgetProblems(flow: Settings['flow'], messageSize: number, streams: number): string[] {
  const problems: string[] = []
  if (flow.window < messageSize + MESSAGE_OVERHEAD) {
    problems.push(
      `flow.window must hold one message of limits.messageSize and ${MESSAGE_OVERHEAD} bytes (${messageSize + MESSAGE_OVERHEAD}), got ${flow.window}`,
    )
  }
  if (flow.peerBudget < messageSize * streams) {
    problems.push(
      `flow.peerBudget must hold one largest message for each of ${streams} streams (${messageSize * streams}), got ${flow.peerBudget}`,
    )
  }
  if (flow.nodeBudget < flow.peerBudget) {
    problems.push(`flow.nodeBudget must be at least flow.peerBudget (${flow.peerBudget}), got ${flow.nodeBudget}`)
  }
  return problems
}

function invalid(problems: readonly string[]): GlueberryError<'INVALID_OPTION'> {
  return new GlueberryError('INVALID_OPTION', problems.join('; '))
}

function isSecret(value: unknown): boolean {
  return typeof value === 'string' || ArrayBuffer.isView(value) || Array.isArray(value)
}
