import { mkdir, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { writeBetween } from '@glueberry/testkit'
import { chart, type Series } from './chart.ts'
import type { Report } from './results.ts'
import { rates, sizeName, tables, titleOf } from './tables.ts'
import { targets } from './targets.ts'

const root = new URL('../../../', import.meta.url)
const at = (path: string): string => fileURLToPath(new URL(path, root))

/** Writes the run into docs/performance.md, its charts beside it, and the rates into README.md. */
export async function writeDocuments(report: Report): Promise<void> {
  await mkdir(at('docs/performance'), { recursive: true })
  await writeFile(at('docs/performance/size.svg'), bySize(report))
  await writeFile(at('docs/performance/names-and-peers.svg'), byCount(report))
  await writeFile(at('docs/performance/backlog.svg'), byBacklog(report))
  await writeFile(at('docs/performance/room.svg'), byRoom(report))
  const where = `Run of ${report.date} with \`npm run bench\`: ${report.machine}, Node ${report.node.slice(1)}; ${Object.entries(
    report.versions,
  )
    .map(([name, version]) => `${name} ${version}`)
    .join(', ')}.`
  const missing = Object.entries(report.missing).map(([contender, why]) => `Left out: ${titleOf(contender)}: ${why}.\n`)
  await replace('docs/performance.md', `${where}\n\n${missing.join('')}${targets(report)}\n${tables(report)}`)
  await replace('README.md', `${rates(report).replace(/^### .*\n\n/, '')}\n${where}\n`)
}

function replace(path: string, text: string): Promise<void> {
  return writeBetween(at(path), '<!-- bench: written by npm run bench -- --documents -->', '<!-- /bench -->', text)
}

function bySize(report: Report): string {
  const results = report.results.filter(({ work }) => work === 'rate')
  const series: Series[] = [...new Set(results.map(({ contender }) => contender))].map((contender) => ({
    name: titleOf(contender).replaceAll('`', ''),
    points: results
      .filter((result) => result.contender === contender)
      .map(({ size, figures }) => [size, (figures.sendCpu as number) + (figures.receiveCpu as number)] as const),
  }))
  return chart('CPU time of a message, sender and receiver together', 'size', 'µs', series, sizeName)
}

function byCount(report: Report): string {
  const ours = report.results.filter(({ contender, size }) => contender === 'node' && size === 64)
  const one = ours.filter(({ work }) => work === 'rate')
  const along = (key: 'names' | 'peers'): Series['points'] =>
    [...one, ...ours.filter(({ work }) => work === key)].map(
      (result) => [result[key], result.figures.perSecond as number] as const,
    )
  const series = [
    { name: 'names, of one peer', points: along('names') },
    { name: 'peers, to one node', points: along('peers') },
  ]
  return chart('Messages of 64 B in all, by how many share the way', 'names or peers', 'a second', series, String)
}

function byRoom(report: Report): string {
  const results = report.results.filter(({ work, names }) => work === 'room' && names === 1)
  const along = (figure: string, times = 1): Series['points'] =>
    results.map(({ peers, figures }) => [peers, times * (figures[figure] as number)] as const).filter(([, y]) => y > 0)
  const series = [
    { name: 'RSS, KiB', points: along('rss') },
    { name: 'heap, KiB', points: along('heap') },
    { name: 'CPU at rest, µs', points: along('CPU at rest', 1000) },
    { name: 'CPU a message, µs', points: along('CPU a message') },
    { name: 'delay p99, ms', points: along('delay p99') },
    { name: 'connect p50, ms', points: along('connect p50') },
  ]
  return chart('What each peer of one node costs it', 'peers', 'see the names', series, (x) => x.toLocaleString('en'))
}

function byBacklog(report: Report): string {
  const results = report.results.filter(({ work }) => work === 'backlog')
  const along = (end: 'sender' | 'receiver'): Series['points'] =>
    // Among few, what else the program does is more than what they take: a logarithm has no place for less than nothing.
    results
      .map(({ outstanding, figures }) => [outstanding, figures[end] as number] as const)
      .filter(([, bytes]) => bytes > 0)
  const series = [
    { name: 'at the sender', points: along('sender') },
    { name: 'at the receiver', points: along('receiver') },
  ]
  return chart('Memory of a 64 B message that waits', 'messages that wait', 'bytes each', series, (x) =>
    x.toLocaleString('en'),
  )
}
