// Writes docs/how-it-works.svg, the picture of the README: `node scripts/picture.ts`.
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const WIDTH = 760
const HEIGHT = 250
const BOX = { width: 150, height: 44 }

type Point = readonly [x: number, y: number]

const xml = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')

const box = (x: number, y: number, [title, below]: readonly [string, string], kind: string): string =>
  `<rect x="${x}" y="${y}" width="${BOX.width}" height="${BOX.height}" rx="6" class="${kind}"/>` +
  `<text x="${x + BOX.width / 2}" y="${y + 19}" class="title">${xml(title)}</text>` +
  `<text x="${x + BOX.width / 2}" y="${y + 35}" class="below">${xml(below)}</text>`

const arrow = ([x1, y1]: Point, [x2, y2]: Point, label: string, kind = 'flow'): string =>
  `<path d="M${x1} ${y1}L${x2} ${y2}" class="${kind}" marker-end="url(#head)"/>` +
  `<text x="${(x1 + x2) / 2}" y="${(y1 + y2) / 2 - 7}" class="below">${xml(label)}</text>`

/** The picture, as SVG. */
export function picture(): string {
  const [left, right] = [30, WIDTH - 30 - BOX.width]
  const [top, middle, bottom] = [36, 108, 180]
  const centre = (x: number): number => x + BOX.width / 2
  const parts = [
    `<rect x="${left - 14}" y="${top + 56}" width="${BOX.width + 28}" height="142" rx="8" class="node"/>`,
    `<rect x="${right - 14}" y="${top + 56}" width="${BOX.width + 28}" height="142" rx="8" class="node"/>`,
    `<text x="${centre(left)}" y="${top - 12}" class="below">Alice’s process</text>`,
    `<text x="${centre(right)}" y="${top - 12}" class="below">Bob’s process</text>`,
    box(left, top, ['your program', 'node.send(bob, "chat", …)'], 'program'),
    box(right, top, ['your program', 'node.handle("chat", …)'], 'program'),
    box(left, middle, ['outbox', 'keeps it until consumed'], 'part'),
    box(right, middle, ['inbox', 'in order, within its credit'], 'part'),
    box(left, bottom, ['reconnector', 'dials again, with backoff'], 'part'),
    box(right, bottom, ['reconnector', 'dials again, with backoff'], 'part'),
    arrow([centre(left), top + BOX.height], [centre(left), middle], ''),
    arrow([centre(right), middle], [centre(right), top + BOX.height], ''),
    arrow([left + BOX.width, middle + 14], [right, middle + 14], 'messages: one encrypted stream for each name'),
    arrow([right, middle + 36], [left + BOX.width, middle + 36], '', 'back'),
    `<text x="${WIDTH / 2}" y="${middle + 52}" class="below">what was consumed, and new credit</text>`,
    arrow(
      [left + BOX.width, bottom + 30],
      [right, bottom + 30],
      'after a cut: a new session goes on where it was',
      'back',
    ),
  ]
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="How a message travels between two nodes">
<style>
text { font: 12px system-ui, sans-serif; text-anchor: middle; fill: #24292f }
.title { font-weight: 600; font-size: 13px }
.below { font-size: 10.5px; fill: #57606a }
rect { stroke: #57606a; fill: #ffffff }
.program { fill: #ddf4ff }
.node { fill: #f6f8fa; stroke: #d0d7de }
path { stroke: #0969da; stroke-width: 1.6; fill: none }
.back { stroke-dasharray: 5 4 }
</style>
<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" style="fill:#0969da;stroke:none"/></marker></defs>
<rect width="${WIDTH}" height="${HEIGHT}" style="fill:#ffffff;stroke:none"/>
${parts.join('\n')}
</svg>
`
}

const here = fileURLToPath(import.meta.url)
if (process.argv[1] === here) writeFileSync(new URL('../docs/how-it-works.svg', import.meta.url), picture())
