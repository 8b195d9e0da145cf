import { type Case, find, type Report } from './results.ts'
import { round } from './tables.ts'

/** What was to be reached: a figure of this library beside another's, in one run. */
interface Target {
  readonly text: string
  readonly wanted: string
  /** The ratio, or figure, that counts; `undefined` when it was not measured. */
  of(figure: Figure): number | undefined
  readonly atLeast?: number
  readonly atMost?: number
}

type Figure = (contender: string, wanted: Partial<Case>, figure: string) => number | undefined

const over = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined || b === undefined ? undefined : a / b
/** A figure of this library by itself. */
const ours =
  (wanted: Partial<Case>, name: string) =>
  (figure: Figure): number | undefined =>
    figure('node', wanted, name)
/** One of its figures, times the same of another case. */
const times =
  (wanted: Partial<Case>, other: Partial<Case>) =>
  (figure: Figure): number | undefined =>
    over(figure('node', wanted, 'perSecond'), figure('node', other, 'perSecond'))
const rate =
  (size: number, contender: string) =>
  (figure: Figure): number | undefined =>
    over(figure('node', { work: 'rate', size }, 'perSecond'), figure(contender, { work: 'rate', size }, 'perSecond'))
const best = (figure: Figure, contenders: readonly string[], size: number): number | undefined => {
  const rates = contenders.map((contender) => figure(contender, { work: 'rate', size }, 'perSecond'))
  const known = rates.filter((value) => value !== undefined)
  return known.length === 0 ? undefined : Math.max(...known)
}
const overBest =
  (size: number, contenders: readonly string[]) =>
  (figure: Figure): number | undefined =>
    over(figure('node', { work: 'rate', size }, 'perSecond'), best(figure, contenders, size))

const MIB = 1024 * 1024
/** Those that are encrypted from one program to the other; NATS is so only to its server. */
const PEERS = ['hyperswarm', 'zeromq']

const TARGETS: readonly Target[] = [
  { text: '64 B one way, × raw libp2p', wanted: '≥ 10', of: rate(64, 'libp2p'), atLeast: 10 },
  {
    text: '64 B one way, × the better of secret-stream and CURVE',
    wanted: '≥ 3.5',
    of: overBest(64, PEERS),
    atLeast: 3.5,
  },
  { text: '64 B one way, × NATS (encrypted to its server)', wanted: '—', of: rate(64, 'nats') },
  { text: '64 B one way, × TLS with batches by hand', wanted: 'aim 0.5', of: rate(64, 'tls') },
  { text: '1 KiB one way, × raw libp2p', wanted: '≥ 3', of: rate(1024, 'libp2p'), atLeast: 3 },
  {
    text: '1 KiB one way, × the better of secret-stream and CURVE',
    wanted: '≥ 1, aim 1.3',
    of: overBest(1024, PEERS),
    atLeast: 1,
  },
  { text: '16 KiB one way, × raw libp2p', wanted: '≥ 1, aim 1.5', of: rate(16 * 1024, 'libp2p'), atLeast: 1 },
  { text: '1 MiB one way, × raw libp2p', wanted: '≥ 0.9, aim 1', of: rate(MIB, 'libp2p'), atLeast: 0.9 },
  {
    text: 'round trip of 64 B, p50, × raw libp2p',
    wanted: '≤ 1.25, aim 1.1',
    of: (figure) =>
      over(
        figure('node', { work: 'trips', outstanding: 1 }, 'p50'),
        figure('libp2p', { work: 'trips', outstanding: 1 }, 'p50'),
      ),
    atMost: 1.25,
  },
  {
    text: 'an idle peer of 1,000, heap in KiB',
    wanted: '≤ 80',
    of: ours({ work: 'idle' }, 'heap 1000'),
    atMost: 80,
  },
  {
    text: 'an idle peer of 1,000, RSS in KiB',
    wanted: '≤ 200',
    of: ours({ work: 'idle' }, 'rss 1000'),
    atMost: 200,
  },
  {
    text: '16 peers into one node, × one peer’s rate',
    wanted: '≥ 0.8',
    of: times({ work: 'peers', peers: 16 }, { work: 'rate', size: 64 }),
    atLeast: 0.8,
  },
  {
    text: 'the slowest of the 16, × its fair share',
    wanted: '≥ 0.5',
    of: ours({ work: 'peers', peers: 16 }, 'slowest'),
    atLeast: 0.5,
  },
  {
    text: 'the fastest of the 16, × its fair share',
    wanted: '≤ 2',
    of: ours({ work: 'peers', peers: 16 }, 'fastest'),
    atMost: 2,
  },
  {
    text: 'both ways at once, × one way',
    wanted: '≥ 1.2',
    of: times({ work: 'both' }, { work: 'rate', size: 64 }),
    atLeast: 1.2,
  },
  {
    text: '63 names beside one that is never read, × their rate alone',
    wanted: '≥ 0.8',
    of: ours({ work: 'unread' }, 'kept'),
    atLeast: 0.8,
  },
  {
    text: 'round trip beside a flood, × idle',
    wanted: '≤ 3',
    of: ours({ work: 'flood' }, 'times'),
    atMost: 3,
  },
  {
    text: 'event-loop delay beside a flood, p99 in ms',
    wanted: '≤ 10',
    of: ours({ work: 'flood' }, 'loopDelay'),
    atMost: 10,
  },
]

/** What was to be reached, and whether it was; only what was measured. */
export function targets(report: Report): string {
  const figure: Figure = (contender, wanted, name) => find(report.results, { ...wanted, contender })?.figures[name]
  const lines = TARGETS.flatMap(({ text, wanted, of, atLeast, atMost }) => {
    const value = of(figure)
    if (value === undefined) return []
    const judged = atLeast !== undefined || atMost !== undefined
    const reached = value >= (atLeast ?? Number.NEGATIVE_INFINITY) && value <= (atMost ?? Number.POSITIVE_INFINITY)
    return [`| ${text} | ${wanted} | ${round(value)} | ${judged ? (reached ? 'yes' : '**no**') : ''} |`]
  })
  if (lines.length === 0) return ''
  return `### What was to be reached\n\n| | wanted | measured | reached |\n| --- | ---: | ---: | --- |\n${lines.join('\n')}\n`
}
