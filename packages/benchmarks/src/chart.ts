/** A line of a chart: its name and its points. */
export interface Series {
  readonly name: string
  readonly points: readonly (readonly [x: number, y: number])[]
}

const WIDTH = 640
const HEIGHT = 320
const LEFT = 70
const RIGHT = 170
const TOP = 36
const BOTTOM = 44
const COLORS = ['#0b62a4', '#c0392b', '#2e8b57', '#8e44ad', '#d68910', '#555555', '#16a085', '#7f8c8d']

/** Lines over two logarithmic axes, as SVG. */
export function chart(
  title: string,
  xTitle: string,
  yTitle: string,
  series: readonly Series[],
  tick: (x: number) => string,
): string {
  const all = series.flatMap(({ points }) => points)
  const xs = [...new Set(all.map(([x]) => x))].sort((a, b) => a - b)
  const xScale = scale(xs[0] as number, xs.at(-1) as number, LEFT, WIDTH - RIGHT)
  const decades = tens(Math.min(...all.map(([, y]) => y)), Math.max(...all.map(([, y]) => y)))
  const yScale = scale(decades[0] as number, decades.at(-1) as number, HEIGHT - BOTTOM, TOP)
  const right = WIDTH - RIGHT
  const parts = [
    `<text x="${LEFT}" y="20" font-weight="bold">${escapeXml(title)}</text>`,
    ...decades.map(
      (y) =>
        `<line x1="${LEFT}" y1="${yScale(y)}" x2="${right}" y2="${yScale(y)}" stroke="#ddd"/><text x="${LEFT - 8}" y="${yScale(y) + 4}" text-anchor="end">${y.toLocaleString('en')}</text>`,
    ),
    ...xs.map(
      (x) => `<text x="${xScale(x)}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${escapeXml(tick(x))}</text>`,
    ),
    `<text x="${(LEFT + right) / 2}" y="${HEIGHT - 6}" text-anchor="middle">${escapeXml(xTitle)}</text>`,
    `<text transform="translate(14 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">${escapeXml(yTitle)}</text>`,
    ...series.flatMap(({ name, points }, i) => {
      const color = COLORS[i % COLORS.length]
      const path = points.map(([x, y]) => `${xScale(x)},${yScale(y)}`).join(' ')
      return [
        `<polyline points="${path}" fill="none" stroke="${color}" stroke-width="2"/>`,
        ...points.map(([x, y]) => `<circle cx="${xScale(x)}" cy="${yScale(y)}" r="3" fill="${color}"/>`),
        `<text x="${right + 12}" y="${TOP + 12 + 18 * i}" fill="${color}">${escapeXml(name)}</text>`,
      ]
    }),
  ]
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12"><title>${escapeXml(title)}</title><rect width="${WIDTH}" height="${HEIGHT}" fill="white"/>${parts.join('')}</svg>\n`
}

function scale(from: number, to: number, start: number, end: number): (value: number) => number {
  const [low, high] = [Math.log(from), Math.log(Math.max(to, from * 1.001))]
  return (value) => Math.round((start + ((Math.log(value) - low) / (high - low)) * (end - start)) * 10) / 10
}

/** The powers of ten around what is shown. */
function tens(min: number, max: number): number[] {
  const first = Math.floor(Math.log10(min))
  const last = Math.max(first + 1, Math.ceil(Math.log10(max)))
  return Array.from({ length: last - first + 1 }, (_, i) => Number((10 ** (first + i)).toPrecision(1)))
}

const escapeXml = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
