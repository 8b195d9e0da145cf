import { type Case, find, nameOfCase, type Report, type Result } from './results.ts'

/** A change by more than this part is told. */
const WORTH_TELLING = 0.1
const RAW = 'libp2p'

/** A figure beside the same of raw libp2p in the same run, where there is one; machines and days differ, ratios less. */
function relative(report: Report, result: Result, figure: string): { readonly value: number; readonly unit: string } {
  const { work, size, names, peers, outstanding } = result
  const raw = find(report.results, { work, size, names, peers, outstanding, contender: RAW })?.figures[figure]
  const value = result.figures[figure] as number
  return raw === undefined || result.contender === RAW || raw === 0
    ? { value, unit: '' }
    : { value: value / raw, unit: ' × raw libp2p' }
}

/** What has changed by more than a tenth, a line each. */
export function compare(before: Report, now: Report): string[] {
  const lines: string[] = []
  for (const result of now.results) {
    const { work, contender, size, names, peers, outstanding }: Case = result
    const earlier = find(before.results, { work, contender, size, names, peers, outstanding })
    for (const figure of Object.keys(result.figures)) {
      if (earlier?.figures[figure] === undefined) continue
      const [was, is] = [relative(before, earlier, figure), relative(now, result, figure)]
      if (was.unit !== is.unit || was.value === 0) continue
      const change = is.value / was.value - 1
      if (Math.abs(change) <= WORTH_TELLING) continue
      const percent = `${change > 0 ? '+' : ''}${Math.round(100 * change)} %`
      lines.push(`${nameOfCase(result)} · ${figure}: ${short(was.value)} → ${short(is.value)}${is.unit} (${percent})`)
    }
  }
  return lines
}

const short = (value: number): string => String(Number(value.toPrecision(3)))
