import { asBytes, asText, asUint, decodeCbor, encodeCbor, Fields } from './cbor.ts'
import { fail } from './errors.ts'
import { SESSION_ID_LENGTH } from './handshake.ts'
import { RECORD_PLAINTEXT_MAX } from './record.ts'
import { decodeRefusal, encodeRefusal, type Refusal } from './refusal.ts'
import { asStreamName, STREAM_NAMES_MAX } from './stream-name.ts'

/** An instance id: made anew at every start of a node. */
export const INSTANCE_LENGTH = 16
/** A receiver's memory of a sender: made anew when the receiver has none. */
export const MEMORY_LENGTH = 8
/** How many ended sessions a SETUP names at most. */
export const ENDED_MAX = 8
/** The application's handshake messages: bytes of one. */
export const HANDSHAKE_BYTES_MAX: number = RECORD_PLAINTEXT_MAX - 16

/** Failed messages that READY names for each stream name, at most. */
export const FAILED_MAX = 16
/** Failed messages that one FAILED names, at most. */
export const FAILURES_MAX = 64

const AGENT_MAX = 128
const FEATURES_MAX = 32
const FEATURE_LENGTH_MAX = 64
/** A receiver ignores a type that it does not know from this number on. */
const IGNORABLE_FROM = 128

/** First message of either side. */
export interface Setup {
  readonly type: 'setup'
  /** 16 random bytes, new at every start of a node. */
  readonly instance: Uint8Array
  /** The last sessions with this peer that the sender had set up and that it has ended, at most 8. */
  readonly ended: readonly Uint8Array[]
  /** Program and version, for logs. */
  readonly agent: string
  /** Names that the sender accepts. */
  readonly streams: readonly string[]
  /** The largest message that the sender accepts, in bytes. */
  readonly largestMessage: number
  /** How often the sender pings, in milliseconds; for logs. */
  readonly heartbeat: number
  /** Extensions that the sender knows. */
  readonly features: readonly string[]
}

/** How far a receiver is with a sender's running instance, for one name. */
export interface Position {
  /** Highest sequence that has arrived. */
  readonly received: number
  /** Highest sequence such that the application has consumed it and all before it. */
  readonly consumed: number
}

/** This side's application has accepted. */
export interface Ready {
  readonly type: 'ready'
  /** 8 random bytes of the receiver's record of this sender. */
  readonly memory: Uint8Array
  /** Cost that the sender may write beyond the limits of its names, on all of them together. */
  readonly pool: number
  /** How far this side is with each name that was used. */
  readonly positions: ReadonlyMap<string, Position>
  /** The last sequences of each name whose handler failed although their sender waits for consumption; at most 16 each. */
  readonly failed: ReadonlyMap<string, readonly number[]>
}

/** A message that was consumed without success: its sender waits for its consumption, and its handler failed. */
export interface Failure {
  /** The stream's name. */
  readonly name: string
  /** Of the message. */
  readonly sequence: number
}

/** What a receiver grants and has consumed, for one name. */
export interface Acknowledgement {
  /** The stream's name. */
  readonly name: string
  /** Highest sequence that the application has taken of this sender's instance; 0 = nothing known. */
  readonly consumed: number
  /** How much may have been written in this session in total, in cost, what was returned included. */
  readonly limit: number
}

/** A sender waits for credit on one name. */
export interface Want {
  readonly type: 'want'
  /** The stream's name. */
  readonly name: string
  /** The limit that it waits for, counted as in an acknowledgement. */
  readonly limit: number
}

/** A sender gives back credit of one name that it does not use. */
export interface Return {
  readonly type: 'return'
  /** The stream's name. */
  readonly name: string
  /** How much it has given back in this session in total, in cost. */
  readonly returned: number
}

/**
 * `stopped`: the node ends · `disconnected`: asked for by its application · `duplicate`: the other session lives ·
 * `replaced`: a newer session lives · `protocol`: the receiver broke the protocol · `timeout`: silence · `other`: unknown here
 */
export type GoodbyeReason = 'stopped' | 'disconnected' | 'duplicate' | 'replaced' | 'protocol' | 'timeout' | 'other'

/** By its number on the wire, from 1. */
const GOODBYE_REASONS: readonly GoodbyeReason[] = [
  'stopped',
  'disconnected',
  'duplicate',
  'replaced',
  'protocol',
  'timeout',
]

/** Everything that is said on a control stream after its handshake. */
export type ControlMessage =
  | Setup
  /** The application's own handshake. */
  | { readonly type: 'handshake'; readonly data: Uint8Array }
  | Ready
  | { readonly type: 'ack'; readonly acknowledgements: readonly Acknowledgement[] }
  | ({ readonly type: 'refuse' } & Refusal)
  | { readonly type: 'ping'; readonly number: number }
  | { readonly type: 'pong'; readonly number: number }
  /** Names accepted from now on too. */
  | { readonly type: 'streams'; readonly names: readonly string[] }
  /** Please renew the keys. */
  | { readonly type: 'renew' }
  | { readonly type: 'goodbye'; readonly reason: GoodbyeReason }
  | Want
  | Return
  /** Sent before the acknowledgement that covers these messages. */
  | { readonly type: 'failed'; readonly failures: readonly Failure[] }
  /** Names that are no longer accepted. */
  | { readonly type: 'withdraw'; readonly names: readonly string[] }
  /** A type of a later version that may be ignored. */
  | { readonly type: 'unknown'; readonly number: number }

/** Their numbers on the wire. */
const TYPES = {
  setup: 1,
  handshake: 2,
  ready: 3,
  ack: 4,
  refuse: 5,
  ping: 6,
  pong: 7,
  streams: 8,
  renew: 9,
  goodbye: 10,
  want: 11,
  return: 12,
  failed: 128,
  withdraw: 129,
} as const
const BY_NUMBER: ReadonlyMap<number, keyof typeof TYPES> = new Map(
  Object.entries(TYPES).map(([type, number]) => [number, type as keyof typeof TYPES]),
)

/** `u8 type || CBOR`, to be sealed as one record. */
export function encodeControl(message: Exclude<ControlMessage, { type: 'unknown' }>): Uint8Array<ArrayBuffer> {
  const body = encodeCbor(controlBody(message))
  const bytes = new Uint8Array(1 + body.length)
  bytes[0] = TYPES[message.type]
  bytes.set(body, 1)
  if (bytes.length > RECORD_PLAINTEXT_MAX) {
    fail('TOO_LARGE', `a control message of ${bytes.length} bytes is above ${RECORD_PLAINTEXT_MAX}`)
  }
  return bytes
}

function controlBody(message: Exclude<ControlMessage, { type: 'unknown' }>): unknown {
  switch (message.type) {
    case 'setup': {
      const { type, ...fields } = message
      return fields
    }
    case 'handshake':
      return message.data
    case 'ready':
      return {
        memory: message.memory,
        pool: message.pool,
        positions: new Map([...message.positions].map(([name, at]) => [name, [at.received, at.consumed]])),
        ...(message.failed.size === 0 ? {} : { failed: message.failed }),
      }
    case 'ack':
      return message.acknowledgements.flatMap(({ name, consumed, limit }) => [name, consumed, limit])
    case 'refuse':
      return encodeRefusal(message)
    case 'ping':
    case 'pong':
      return message.number
    case 'streams':
      return message.names
    case 'renew':
      return null
    case 'want':
      return [message.name, message.limit]
    case 'return':
      return [message.name, message.returned]
    case 'goodbye':
      return GOODBYE_REASONS.indexOf(message.reason) + 1
    case 'failed':
      return message.failures.flatMap(({ name, sequence }) => [name, sequence])
    case 'withdraw':
      return message.names
  }
}

/**
 * One opened control record.
 *
 * @throws WireError `MALFORMED`, `TOO_LARGE`
 */
export function decodeControl(bytes: Uint8Array): ControlMessage {
  const number = bytes[0] ?? fail('MALFORMED', 'a control message is empty')
  const type = BY_NUMBER.get(number)
  if (type === undefined) {
    return number >= IGNORABLE_FROM
      ? { type: 'unknown', number }
      : fail('MALFORMED', `control messages of type ${number} do not exist`)
  }
  const body = decodeCbor(bytes.subarray(1))
  switch (type) {
    case 'setup':
      return decodeSetup(body)
    case 'handshake':
      return body instanceof Uint8Array
        ? { type, data: Uint8Array.from(body) }
        : fail('MALFORMED', 'HANDSHAKE is not bytes')
    case 'ready':
      return decodeReady(body)
    case 'ack':
      return { type, acknowledgements: decodeAcknowledgements(body) }
    case 'refuse':
      return { type, ...decodeRefusal(new Fields('REFUSE', body)) }
    case 'ping':
    case 'pong':
      return { type, number: asUint(type, body) }
    case 'streams':
    case 'withdraw':
      return {
        type,
        names: new Fields(type.toUpperCase(), new Map([['names', body]])).list('names', STREAM_NAMES_MAX, asStreamName),
      }
    case 'renew':
      return body === null ? { type } : fail('MALFORMED', 'RENEW carries nothing')
    case 'goodbye':
      return { type, reason: GOODBYE_REASONS[asUint('GOODBYE', body) - 1] ?? 'other' }
    case 'failed':
      return { type, failures: decodeFailures(body) }
    case 'want': {
      const [name, limit] = asNameAndCost('WANT', body)
      return { type, name, limit }
    }
    case 'return': {
      const [name, returned] = asNameAndCost('RETURN', body)
      return { type, name, returned }
    }
  }
}

function asNameAndCost(what: string, body: unknown): [name: string, cost: number] {
  if (!Array.isArray(body) || body.length !== 2) return fail('MALFORMED', `${what} is not a name and a number`)
  return [asStreamName(what, body[0]), asUint(what, body[1])]
}

function decodeSetup(body: unknown): Setup {
  const fields = new Fields('SETUP', body)
  return {
    type: 'setup',
    instance: fields.bytes('instance', INSTANCE_LENGTH),
    ended: fields.list('ended', ENDED_MAX, (what, id) => asBytes(what, id, SESSION_ID_LENGTH)),
    agent: fields.text('agent', AGENT_MAX),
    streams: fields.list('streams', STREAM_NAMES_MAX, asStreamName),
    largestMessage: fields.uint('largestMessage'),
    heartbeat: fields.uint('heartbeat'),
    features: fields.list('features', FEATURES_MAX, (what, text) => asText(what, text, FEATURE_LENGTH_MAX)),
  }
}

function decodeReady(body: unknown): Ready {
  const fields = new Fields('READY', body)
  return {
    type: 'ready',
    memory: fields.bytes('memory', MEMORY_LENGTH),
    pool: fields.uint('pool'),
    positions: fields.entries('positions', STREAM_NAMES_MAX, (what, name, at) => [
      asStreamName(what, name),
      asPosition(what, at),
    ]),
    failed: fields.has('failed')
      ? fields.entries('failed', STREAM_NAMES_MAX, (what, name, sequences) => [
          asStreamName(what, name),
          asSequences(what, sequences),
        ])
      : new Map(),
  }
}

function asSequences(what: string, value: unknown): number[] {
  if (!Array.isArray(value)) return fail('MALFORMED', `${what} is not a list`)
  if (value.length > FAILED_MAX) fail('TOO_LARGE', `${what} has more than ${FAILED_MAX} sequences`)
  return value.map((each) => asUint(what, each))
}

function decodeFailures(body: unknown): Failure[] {
  if (!Array.isArray(body) || body.length === 0 || body.length % 2 !== 0)
    return fail('MALFORMED', 'FAILED is not pairs')
  if (body.length > 2 * FAILURES_MAX) return fail('TOO_LARGE', `FAILED has more than ${FAILURES_MAX} messages`)
  const failures: Failure[] = []
  for (let i = 0; i < body.length; i += 2) {
    failures.push({ name: asStreamName('FAILED', body[i]), sequence: asUint('FAILED.sequence', body[i + 1]) })
  }
  return failures
}

function asPosition(what: string, value: unknown): Position {
  if (!Array.isArray(value) || value.length !== 2) return fail('MALFORMED', `${what} is not [received, consumed]`)
  const [received, consumed] = [asUint(what, value[0]), asUint(what, value[1])]
  if (consumed > received) fail('MALFORMED', `${what} has consumed more than it received`)
  return { received, consumed }
}

function decodeAcknowledgements(body: unknown): Acknowledgement[] {
  if (!Array.isArray(body) || body.length === 0 || body.length % 3 !== 0) return fail('MALFORMED', 'ACK is not triples')
  if (body.length > 3 * STREAM_NAMES_MAX) return fail('TOO_LARGE', `ACK has more than ${STREAM_NAMES_MAX} names`)
  const acknowledgements: Acknowledgement[] = []
  for (let i = 0; i < body.length; i += 3) {
    acknowledgements.push({
      name: asStreamName('ACK', body[i]),
      consumed: asUint('ACK.consumed', body[i + 1]),
      limit: asUint('ACK.limit', body[i + 2]),
    })
  }
  return acknowledgements
}
