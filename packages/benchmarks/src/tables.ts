import { CONTENDERS } from './contenders/contenders.ts'
import { type Case, find, type Report, type Result } from './results.ts'

const RAW = 'libp2p'

/** The report as Markdown: one table for each kind of work that was measured. */
export function tables(report: Report): string {
  return [
    rates(report),
    trips(report),
    loads(report),
    costs(report),
    small(report, 'first', 'Until the other application has the first message, in ms', ['start', 'connect']),
    small(report, 'cut', 'From a cut to the next message, in ms', ['cut']),
    idle(report),
    small(
      report,
      'room',
      'Peers of one node: memory of each in KiB; how many connect in a second, and how long one takes in ms; CPU of each in ms between two heartbeats; until a message to each at once has arrived, in ms; with a thousand messages a second both ways over all peers, CPU of a message in µs and its delay in ms',
      [
        ...['heap', 'rss', 'connects', 'connect p50', 'connect p99', 'CPU at rest', 'to all p99', 'to all'],
        ...['CPU a message', 'delay p50', 'delay p99'],
      ],
    ),
    small(
      report,
      'turnover',
      '200 peers that each send 64 MiB, then 200 others: MiB a second, MiB of heap afterwards, peers that are connected',
      ['first MiB a second', 'second MiB a second', 'heap', 'connected'],
    ),
    small(report, 'used', 'Memory of a name that is used once and left, in KiB', ['sender', 'receiver']),
    small(report, 'kept', 'Memory of a message that the application keeps, in bytes', ['one in 1', 'one in 20']),
    small(report, 'backlog', 'Memory of a message that waits for the other application, in bytes', [
      'sender',
      'receiver',
    ]),
    small(report, 'slow', 'An application that takes a thousand messages a second: memory at most, in MiB', [
      'perSecond',
      'sender',
      'receiver',
    ]),
    small(
      report,
      'unread',
      '64 names, one never read: messages a second on the others, and the part of their rate that they keep',
      ['perSecond', 'kept'],
    ),
    small(
      report,
      'flood',
      'Round trips in µs, alone and beside a peer that floods; how late the event loop is, p99 in ms',
      ['idle', 'busy', 'times', 'loopDelay'],
    ),
    small(report, 'hundred', 'A hundred peers send, nothing is read: memory in MiB; then everything is, in order', [
      'peak',
      'sent',
    ]),
  ]
    .filter((table) => table !== '')
    .join('\n')
}

/** Messages one way, and how many times raw libp2p. */
export function rates(report: Report): string {
  return bySize(report, 'Messages one way, a second (and how many times raw libp2p)', (results, wanted) =>
    withRatio(results, wanted, 'perSecond'),
  )
}

function costs(report: Report): string {
  return bySize(report, 'CPU seconds for a million messages: sender + receiver', (results, wanted) => {
    const figures = find(results, wanted)?.figures
    return figures === undefined ? '' : `${round(figures.sendCpu)} + ${round(figures.receiveCpu)}`
  })
}

/** A row for each contender, a column for each size of the messages one way. */
function bySize(
  report: Report,
  title: string,
  cell: (results: readonly Result[], wanted: Partial<Case>) => string,
): string {
  const results = report.results.filter(({ work }) => work === 'rate')
  const sizes = [...new Set(results.map(({ size }) => size))].sort((a, b) => a - b)
  return table(
    title,
    ['', ...sizes.map(sizeName)],
    contendersOf(results).map((contender) => [
      titleOf(contender),
      ...sizes.map((size) => cell(results, { contender, size })),
    ]),
  )
}

function trips(report: Report): string {
  const results = report.results.filter(({ work }) => work === 'trips')
  return table(
    'Round trips of 64 B: µs with one at a time, how many a second with 100',
    ['', 'p50', 'p99', '100 at once'],
    contendersOf(results).map((contender) => [
      titleOf(contender),
      withRatio(results, { contender, outstanding: 1 }, 'p50'),
      withRatio(results, { contender, outstanding: 1 }, 'p99'),
      withRatio(results, { contender, outstanding: 100 }, 'perSecond'),
    ]),
  )
}

function loads(report: Report): string {
  const works: (Partial<Case> & { title: string })[] = [
    { work: 'both', title: 'both ways at once' },
    { work: 'names', names: 8, title: '8 names' },
    { work: 'peers', peers: 16, title: '16 peers to one' },
  ]
  const results = report.results.filter(({ work }) => works.some((each) => each.work === work))
  return table(
    'Messages of 64 B, a second in all',
    ['', ...works.map(({ title }) => title), 'slowest and fastest of the 16'],
    contendersOf(results).map((contender) => {
      const crowd = find(results, { work: 'peers', peers: 16, contender })?.figures
      return [
        titleOf(contender),
        ...works.map(({ title: _, ...wanted }) => withRatio(results, { ...wanted, contender }, 'perSecond')),
        crowd === undefined ? '' : `${round(crowd.slowest)} and ${round(crowd.fastest)} of the fair share`,
      ]
    }),
  )
}

function idle(report: Report): string {
  const results = report.results.filter(({ work }) => work === 'idle')
  const columns = Object.keys(results[0]?.figures ?? {})
  return table(
    'Memory of an idle peer, in KiB, with so many of them',
    ['', ...columns],
    results.map(({ contender, figures }) => [titleOf(contender), ...columns.map((column) => round(figures[column]))]),
  )
}

function small(report: Report, work: string, title: string, columns: readonly string[]): string {
  const results = report.results.filter((result) => result.work === work)
  return table(
    title,
    ['', ...columns],
    results.map((result) => [rowName(result), ...columns.map((column) => round(result.figures[column]))]),
  )
}

function rowName({ contender, size, names, peers, outstanding }: Result): string {
  const parts = [titleOf(contender), sizeName(size)]
  if (names > 1) parts.push(`${names} names`)
  if (peers > 1) parts.push(`${peers.toLocaleString('en')} peers`)
  if (outstanding > 1) parts.push(`${outstanding} of them`)
  return parts.join(', ')
}

const contendersOf = (results: readonly Result[]): string[] => [...new Set(results.map(({ contender }) => contender))]

export const titleOf = (contender: string): string => CONTENDERS[contender]?.title ?? contender

export function sizeName(size: number): string {
  if (size >= 1024 * 1024) return `${size / 1024 / 1024} MiB`
  return size >= 1024 ? `${size / 1024} KiB` : `${size} B`
}

function withRatio(results: readonly Result[], wanted: Partial<Case>, figure: string): string {
  const value = find(results, wanted)?.figures[figure]
  const raw = find(results, { ...wanted, contender: RAW })?.figures[figure]
  if (value === undefined) return ''
  return raw === undefined || wanted.contender === RAW ? round(value) : `${round(value)} (${round(value / raw)})`
}

/** Three digits that count. */
export function round(value: number | undefined): string {
  if (value === undefined) return ''
  const rounded = Number(value.toPrecision(3))
  return rounded >= 1000 ? rounded.toLocaleString('en') : String(rounded)
}

function table(title: string, header: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return ''
  const widths = header.map((_, i) => Math.max(3, ...[header, ...rows].map((row) => row[i]?.length ?? 0)))
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] as number) : cell.padStart(widths[i] as number))).join(' | ')} |`
  const rule = `| ${widths.map((width, i) => (i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`
  return `### ${title}\n\n${[line(header), rule, ...rows.map(line)].join('\n')}\n`
}
