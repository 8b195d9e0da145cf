import { inspect, types } from 'node:util'
import { isStreamName } from '@glueberry/wire'
import { GlueberryError } from '../errors.ts'

const { isUint8Array } = types // not `instanceof`: a proxy of one has no bytes
const encoder = new TextEncoder()

/** A value as an error shows it: short, on one line. */
export function show(value: unknown): string {
  return inspect(value, { depth: 0, breakLength: Number.POSITIVE_INFINITY, maxStringLength: 60 })
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** What one option of a call must be: `undefined` is always allowed. */
export type Rule = readonly [wanted: string, holds: (value: never) => boolean]

const A_FLAG: Rule = ['true or false', (value: unknown) => typeof value === 'boolean']
const A_SIGNAL: Rule = ['an AbortSignal', (value: unknown) => value instanceof AbortSignal]
const A_TEXT: Rule = ['a text', (value: unknown) => typeof value === 'string']
const A_LIST: Rule = ['a list', (value: unknown) => Array.isArray(value)]
const A_RECORD: Rule = ['an object', isObject]
const A_DURATION: Rule = [
  'a number of milliseconds of at least 0',
  (value: number) => typeof value === 'number' && value >= 0,
]
const A_COUNT: Rule = ['an integer of at least 0', (value: number) => Number.isInteger(value) && value >= 0]
const A_LIMIT: Rule = [
  'an integer of at least 1, or Infinity',
  (value: number) => value >= 1 && (Number.isInteger(value) || value === Number.POSITIVE_INFINITY),
]

/** Calls that take options. */
export type Call =
  | 'addPeer'
  | 'blockPeer'
  | 'connect'
  | 'drain'
  | 'flush'
  | 'handle'
  | 'on'
  | 'send'
  | 'subscribeEvents'
  | 'writable'

/** The options of each call, and what they must be. */
const CALLS: Readonly<Record<Call, Readonly<Record<string, Rule>>>> = {
  addPeer: { metadata: A_RECORD, connect: A_FLAG },
  connect: { signal: A_SIGNAL },
  send: { signal: A_SIGNAL, confirm: A_FLAG },
  writable: { signal: A_SIGNAL },
  flush: { signal: A_SIGNAL, stream: A_TEXT },
  handle: { signal: A_SIGNAL, concurrency: A_LIMIT, ordered: A_FLAG, retries: A_COUNT, retryDelay: A_DURATION },
  subscribeEvents: { peers: A_LIST, types: A_LIST },
  on: { signal: A_SIGNAL },
  drain: { signal: A_SIGNAL, timeout: A_DURATION },
  blockPeer: {
    duration: ['a number of milliseconds above 0', (value: number) => typeof value === 'number' && value > 0],
    reason: A_TEXT,
  },
}

/** Checks the options of a call. @throws GlueberryError `INVALID_OPTION` that names what, got and wanted */
export function checkOptions(call: Call, options: unknown): void {
  if (options === undefined) return
  if (!isObject(options)) {
    throw new GlueberryError('INVALID_OPTION', `the options of ${call} must be an object, got ${show(options)}`)
  }
  const rules = CALLS[call]
  const problems = Object.entries(options).flatMap(([name, value]) => {
    const rule = Object.hasOwn(rules, name) ? rules[name] : undefined
    if (rule === undefined) return [`${name} is not an option of ${call}`]
    const [wanted, holds] = rule
    return value === undefined || holds(value as never) ? [] : [`${name} must be ${wanted}, got ${show(value)}`]
  })
  if (problems.length > 0) throw new GlueberryError('INVALID_OPTION', problems.join('; '))
}

/** @throws GlueberryError `INVALID_STREAM` */
export function checkName(name: unknown): void {
  if (typeof name === 'string' && isStreamName(name)) return
  throw new GlueberryError(
    'INVALID_STREAM',
    `a stream name has 1 to 64 characters of [A-Za-z0-9._-], got ${show(name)}`,
  )
}

export function checkFunction(name: string, value: unknown): void {
  if (typeof value !== 'function')
    throw new GlueberryError('INVALID_OPTION', `${name} must be a function, got ${show(value)}`)
}

/** The bytes that are sent: a text as UTF-8. */
export function bytesOf(data: Uint8Array | string): Uint8Array {
  if (typeof data === 'string') return encoder.encode(data)
  if (isUint8Array(data)) {
    if (data.length === 0) checkAttached(data)
    return data
  }
  throw new GlueberryError('INVALID_OPTION', `data must be a string or a Uint8Array, got ${show(data)}`)
}

/** A view whose memory was transferred, or shrunk away under it, has no length, and cannot be copied. */
function checkAttached(data: Uint8Array): void {
  try {
    new Uint8Array(data)
  } catch (cause) {
    throw new GlueberryError('INVALID_OPTION', 'data must be a Uint8Array that still has its memory', {
      hint: 'its buffer was transferred or made smaller',
      cause,
    })
  }
}
