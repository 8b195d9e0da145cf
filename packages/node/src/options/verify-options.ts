import { isStreamName, NETWORK_NAME_MAX } from '@glueberry/wire'
import { checkMultiaddr } from '../address.ts'
import type { Clock } from '../clock.ts'
import { GlueberryError } from '../errors.ts'
import { Identity } from '../identity.ts'
import { type Logger, safeLogger, silentLogger, stderrLogger } from '../observe/logger.ts'
import { isObject, type Rule, show } from './check.ts'
import { budgetProblems } from './flow-limits.ts'
import type { NodeOptions } from './options.ts'
import { type Numbers, RANGES, type Range, type Ranges, type ReconnectSettings, type Settings } from './settings.ts'

const isFunction = (value: unknown): boolean => typeof value === 'function'

/** Options that stand alone, and what each must be unless it is left out. */
const RULES: Readonly<Record<string, Rule>> = {
  streams: ['a list of names', (value: unknown) => Array.isArray(value)],
  listen: ['a list of multiaddrs', (value: unknown) => Array.isArray(value)],
  network: [
    `a text of 1 to ${NETWORK_NAME_MAX} characters`,
    (value: unknown) => typeof value === 'string' && value.length >= 1 && value.length <= NETWORK_NAME_MAX,
  ],
  cipher: [
    "'chacha20-poly1305' or 'aes-256-gcm'",
    (value: unknown) => value === 'chacha20-poly1305' || value === 'aes-256-gcm',
  ],
  handshake: ['a function', isFunction],
  addressBook: ['the path of a file, or an object with load and save', isStore],
  signal: ['an AbortSignal', (value: unknown) => value instanceof AbortSignal],
  libp2p: ['an object', isObject],
  metrics: ['an object', isObject],
}

/** Options of a group that are no integers. */
const GROUP_RULES: Partial<Record<keyof Ranges, Readonly<Record<string, Rule>>>> = {
  flow: { overflow: ["'wait' or 'error'", (value: unknown) => value === 'wait' || value === 'error'] },
  reconnect: {
    factor: ['a number from 1 to 1000', (value: number) => typeof value === 'number' && value >= 1 && value <= 1000],
    jitter: ["'full', 'none' or a number from 0 to 1", isJitter],
    attemptsPerAddress: [
      'an integer of at least 1',
      (value: number) => value >= 1 && (value === Number.POSITIVE_INFINITY || Number.isInteger(value)),
    ],
    delay: ['a function', isFunction],
  },
}

const OPTIONS: ReadonlySet<string> = new Set(['identity', 'logger', ...Object.keys(RULES), ...Object.keys(RANGES)])

/**
 * Checks all options at once and fills in the defaults.
 *
 * @throws GlueberryError `INVALID_OPTION` that names every bad one, what it got and what it wants
 */
export function verifyOptions(options: NodeOptions<string>, clock: Clock): Settings {
  const problems = new Problems()
  if (!problems.expect(isObject(options), 'options', 'an object', options)) throw problems.error
  for (const name of Object.keys(options)) {
    if (!OPTIONS.has(name)) problems.add(`${name} is not an option`)
  }
  const { identity } = options
  // A seed is shown to nobody.
  const shown = isSecret(identity) ? typeof identity : identity
  problems.expect(identity instanceof Identity, 'identity', 'an Identity, as Identity.generate() makes one', shown)
  checkRules(RULES, options as unknown as Record<string, unknown>, '', problems)
  const group = <G extends keyof Ranges>(name: G): Numbers<G> => readGroup(name, options[name], problems)
  const flow = { ...group('flow'), overflow: options.flow?.overflow ?? 'wait' }
  const [heartbeat, timeouts, limits] = [group('heartbeat'), group('timeouts'), group('limits')]
  const reconnect = options.reconnect === false ? undefined : readReconnect(options.reconnect, problems)
  const { interval, timeout } = heartbeat
  problems.expect(timeout > interval, 'heartbeat.timeout', `more than heartbeat.interval (${interval})`, timeout)
  const streams = checkStreams(options.streams, limits.streams, problems)
  const listen = checkListen(options.listen, problems)
  const logger = checkLogger(options.logger, clock, problems)
  checkMethods('metrics', options.metrics ?? undefined, ['counter', 'gauge', 'histogram'], problems)
  if (problems.none) problems.add(...budgetProblems(flow, limits.messageSize, streams.length))
  if (!problems.none) throw problems.error
  const { network = 'default', cipher, handshake, addressBook, metrics, signal, libp2p = {} } = options
  return {
    ...{ identity, streams, listen, network, cipher, handshake, addressBook },
    ...{ reconnect, flow, heartbeat, timeouts, limits },
    ...{ logger, metrics, signal, libp2p },
  }
}

/** What is wrong with the options, all of it. */
class Problems {
  readonly #texts: string[] = []

  get none(): boolean {
    return this.#texts.length === 0
  }

  get error(): GlueberryError<'INVALID_OPTION'> {
    return new GlueberryError('INVALID_OPTION', this.#texts.join('; '))
  }

  add(...texts: readonly string[]): void {
    this.#texts.push(...texts)
  }

  /** Returns whether it holds. */
  expect(holds: boolean, name: string, wanted: string, got: unknown): boolean {
    if (!holds) this.add(`${name} must be ${wanted}, got ${show(got)}`)
    return holds
  }
}

function checkRules(
  rules: Readonly<Record<string, Rule>>,
  values: Readonly<Record<string, unknown>>,
  prefix: string,
  problems: Problems,
): void {
  for (const [name, [wanted, holds]] of Object.entries(rules)) {
    const value = values[name]
    if (value !== undefined) problems.expect(holds(value as never), `${prefix}${name}`, wanted, value)
  }
}

/** A group of options: its integers, filled in. */
function readGroup<G extends keyof Ranges>(name: G, given: unknown, problems: Problems): Numbers<G> {
  const ranges: Record<string, Range> = RANGES[name]
  const others = GROUP_RULES[name] ?? {}
  const values = Object.fromEntries(Object.entries(ranges).map(([key, [standard]]) => [key, standard]))
  const wanted = name === 'reconnect' ? 'false or an object' : 'an object'
  if (given === undefined || !problems.expect(isObject(given), name, wanted, given)) return values as Numbers<G>
  for (const [key, value] of Object.entries(given as object)) {
    const range = Object.hasOwn(ranges, key) ? ranges[key] : undefined
    if (range === undefined) {
      if (!Object.hasOwn(others, key)) problems.add(`${name}.${key} is not an option`)
      continue
    }
    if (value === undefined) continue
    const [, min, max] = range
    const fits = Number.isInteger(value) && value >= min && value <= max
    problems.expect(fits, `${name}.${key}`, `an integer from ${min} to ${max}`, value)
    values[key] = value
  }
  checkRules(others, given as Record<string, unknown>, `${name}.`, problems)
  return values as Numbers<G>
}

function readReconnect(given: NodeOptions<string>['reconnect'], problems: Problems): ReconnectSettings {
  const numbers = readGroup('reconnect', given, problems)
  const { factor = 2, jitter = 'full', attemptsPerAddress = Number.POSITIVE_INFINITY, delay } = given || {}
  return { ...numbers, factor, jitter, attemptsPerAddress, ...(delay === undefined ? {} : { delay }) }
}

function checkStreams(streams: readonly unknown[], max: number, problems: Problems): readonly string[] {
  if (streams === undefined) problems.expect(false, 'streams', 'a list of names', streams)
  if (!Array.isArray(streams)) return []
  for (const name of streams) {
    const fits = typeof name === 'string' && isStreamName(name)
    problems.expect(fits, 'streams', 'names of 1 to 64 characters of [A-Za-z0-9._-]', name)
  }
  problems.expect(new Set(streams).size === streams.length, 'streams', 'names that are all different', streams)
  problems.expect(streams.length <= max, 'streams', `at most limits.streams (${max}) names`, streams.length)
  return [...streams]
}

function checkListen(listen: readonly string[] | undefined, problems: Problems): readonly string[] {
  if (!Array.isArray(listen)) return []
  for (const address of listen) {
    try {
      checkMultiaddr(address)
    } catch {
      problems.expect(false, 'listen', 'multiaddrs such as /ip4/127.0.0.1/tcp/0', address)
    }
  }
  return [...listen]
}

function checkLogger(given: Logger | false | undefined, clock: Clock, problems: Problems): Logger {
  if (given === false) return silentLogger
  const logger = given === undefined ? stderrLogger(clock) : given
  checkMethods('logger', logger, ['debug', 'info', 'warn', 'error'], problems)
  return safeLogger(logger)
}

function checkMethods(name: string, value: object | undefined, methods: readonly string[], problems: Problems): void {
  if (value === undefined) return
  for (const method of methods) {
    const got = (value as Record<string, unknown> | null)?.[method]
    problems.expect(isFunction(got), `${name}.${method}`, 'a function', got)
  }
}

function isStore(value: unknown): boolean {
  if (typeof value === 'string') return value !== '' && !value.includes('\0')
  const store = value as { load?: unknown; save?: unknown }
  return isObject(value) && isFunction(store.load) && isFunction(store.save)
}

function isJitter(value: unknown): boolean {
  return value === 'full' || value === 'none' || (typeof value === 'number' && value >= 0 && value <= 1)
}

function isSecret(value: unknown): boolean {
  return typeof value === 'string' || ArrayBuffer.isView(value) || Array.isArray(value)
}
