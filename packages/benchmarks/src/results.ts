import { readFile, writeFile } from 'node:fs/promises'
import { arch, cpus, platform, totalmem } from 'node:os'
import { median } from './statistics.ts'

/** What one run of one case came to: figures by name. */
export type Figures = Readonly<Record<string, number>>

/** What is measured with whom. */
export interface Case {
  readonly work: string
  readonly contender: string
  /** Bytes of a message. */
  readonly size: number
  /** Named streams in use. */
  readonly names: number
  /** Peers that send to one node. */
  readonly peers: number
  /** Round trips, or messages, under way at once. */
  readonly outstanding: number
}

export interface Result extends Case {
  /** The median of each figure over the runs. */
  readonly figures: Figures
  readonly runs: readonly Figures[]
}

/** A whole run of the benchmark. */
export interface Report {
  readonly date: string
  readonly machine: string
  readonly node: string
  readonly versions: Readonly<Record<string, string>>
  /** Contenders that could not run here, and why. */
  readonly missing: Readonly<Record<string, string>>
  readonly results: readonly Result[]
}

export function machine(): string {
  const [cpu] = cpus()
  return `${cpus().length} × ${cpu?.model.trim() ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${platform()} ${arch()}`
}

export function summarize(measured: Case, runs: readonly Figures[]): Result {
  const names = Object.keys(runs[0] ?? {})
  const figures = Object.fromEntries(names.map((name) => [name, median(runs.map((run) => run[name] as number))]))
  return { ...measured, figures, runs }
}

/** The result of a case, if it was measured. */
export function find(results: readonly Result[], wanted: Partial<Case>): Result | undefined {
  return results.find((result) => Object.entries(wanted).every(([key, value]) => result[key as keyof Case] === value))
}

/** What identifies a case, for people and for comparisons. */
export function nameOfCase({ work, contender, size, names, peers, outstanding }: Case): string {
  const parts = [work, contender, `${size} B`]
  if (names > 1) parts.push(`${names} names`)
  if (peers > 1) parts.push(`${peers} peers`)
  if (outstanding > 1) parts.push(`${outstanding} at once`)
  return parts.join(' · ')
}

export async function readReport(path: string): Promise<Report> {
  return JSON.parse(await readFile(path, 'utf8')) as Report
}

export async function writeReport(path: string, report: Report): Promise<void> {
  await writeFile(path, `${JSON.stringify(report, null, 2)}\n`)
}
