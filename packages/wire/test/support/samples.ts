import type { ControlMessage } from '../../src/index.ts'

type Sendable = Exclude<ControlMessage, { type: 'unknown' }>

const range = (length: number, start = 0): Uint8Array => Uint8Array.from({ length }, (_, i) => start + i)

/** At least one of every control message. */
export const controlMessages: readonly Sendable[] = [
  {
    type: 'setup',
    instance: range(16),
    ended: [range(32, 1), range(32, 2)],
    agent: 'glueberry/0.1.0',
    streams: ['chat', 'files.v2', 'A-Z_0'],
    largestMessage: 1_048_576,
    heartbeat: 3000,
    features: [],
  },
  {
    type: 'setup',
    instance: range(16, 200),
    ended: [],
    agent: '',
    streams: [],
    largestMessage: 0,
    heartbeat: 0,
    features: ['x'],
  },
  { type: 'handshake', data: range(10) },
  { type: 'handshake', data: new Uint8Array(0) },
  {
    type: 'ready',
    memory: range(8),
    pool: 65_536,
    positions: new Map([['chat', { received: 12, consumed: 9 }]]),
    failed: new Map([['chat', [7, 9]]]),
  },
  { type: 'ready', memory: range(8, 9), pool: 0, positions: new Map(), failed: new Map() },
  { type: 'want', name: 'chat', limit: 2 ** 40 },
  { type: 'return', name: 'files.v2', returned: 70_000 },
  {
    type: 'ack',
    acknowledgements: [
      { name: 'chat', consumed: 24, limit: 70_000 },
      { name: 'files.v2', consumed: Number.MAX_SAFE_INTEGER, limit: 0 },
    ],
  },
  { type: 'refuse', code: 'application', reason: 'wrong token' },
  { type: 'refuse', code: 'cooldown', reason: '' },
  { type: 'ping', number: 7 },
  { type: 'pong', number: 7 },
  { type: 'streams', names: ['new'] },
  { type: 'renew' },
  { type: 'goodbye', reason: 'stopped' },
  { type: 'goodbye', reason: 'duplicate' },
  {
    type: 'failed',
    failures: [
      { name: 'chat', sequence: 7 },
      { name: 'files.v2', sequence: Number.MAX_SAFE_INTEGER },
    ],
  },
  { type: 'withdraw', names: ['chat'] },
]
