import { fileURLToPath } from 'node:url'
import { spawnNode } from '@glueberry/testkit'
import { expect, test } from 'vitest'

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))

test('the line is cut again and again, and nothing is lost or doubled: lines, a summary, exit code 0', async () => {
  await using child = spawnNode([main, '--seconds', '1000', '--every', '300'])
  await child.line(/ cuts ([3-9]|\d\d) .* sent \d{3,} /) // however long that takes here
  child.kill('SIGTERM')
  expect([await child.ended, child.errorLines]).toEqual([0, []])
  expect(child.lines[0]).toMatch(/^lost 0 · duplicated 0 · \w+.* · cuts \d+ · buffered \d+ · sent \d+ · received \d+$/)
  const summary = /: (\d+) cuts, (\d+) reconnects, (\d+) sent, (\d+) received, 0 lost, 0 duplicated, 0 given up$/.exec(
    child.lines.at(-1) as string,
  )
  expect(child.lines.at(-1)).toMatch(/^everything arrived/)
  const [cuts, , sent, received] = (summary ?? []).slice(1).map(Number) as [number, number, number, number]
  expect(cuts).toBeGreaterThan(2)
  expect(sent).toBeGreaterThan(100)
  expect(received).toBe(sent)
})

test('as JSON; and a signal ends it in good order', async () => {
  await using child = spawnNode([main, '--json', '--every', '500', '--seconds', '1000'])
  await child.line(/"type":"status".*"sent":[1-9]/)
  child.kill('SIGTERM')
  expect([await child.ended, child.errorLines]).toEqual([0, []])
  expect(JSON.parse(child.lines.at(-1) as string)).toMatchObject({ type: 'summary', ok: true, lost: 0, duplicated: 0 })
})

test('a sender that dies shows in the verdict and the exit code', async () => {
  await using child = spawnNode([main, '--json', '--manual', '--seconds', '1000'])
  await child.line(/"type":"status".*"sent":[1-9]/)
  const { spawnSync } = await import('node:child_process')
  const sender = spawnSync('pgrep', ['-P', String(child.process.pid), '-f', 'sender.ts'], { encoding: 'utf8' })
  process.kill(Number(sender.stdout.trim()), 'SIGKILL')
  expect(await child.ended).toBe(1)
  expect(JSON.parse(child.lines.at(-1) as string)).toMatchObject({ type: 'summary', ok: false })
})

test('it ends by itself after --seconds', async () => {
  await using child = spawnNode([main, '--seconds', '2', '--manual'])
  await child.ended
  expect(child.lines.at(-1)).toMatch(/0 cuts, 0 reconnects, \d+ sent, \d+ received, 0 lost, 0 duplicated, 0 given up$/)
})

test('wrong options are explained', async () => {
  await using child = spawnNode([main, '--seconds', 'soon'])
  expect(await child.ended).toBe(2)
  expect(child.errorLines[0]).toBe('--seconds must be a number from above 0 to 1000000, got soon')
})

test.each([['loud'], ['']])('a wrong --log-level, %j, is explained', async (level) => {
  await using child = spawnNode([main, '--log-level', level])
  expect(await child.ended).toBe(2)
  expect(child.errorLines[0]).toBe(
    `--log-level must be one of silent, error, warn, info, debug, got ${JSON.stringify(level)}`,
  )
  expect(child.errorLines.join('\n')).toContain('--log-level LEVEL')
})

test('--log-level debug: both nodes log to standard error, a line an entry', async () => {
  await using child = spawnNode([main, '--manual', '--seconds', '1000', '--json', '--log-level', 'debug'])
  await child.line(/^debug peer is established peerId=\w+ .*program=sender$/)
  await child.line(/^debug peer is established peerId=\w+ .*program=receiver$/)
  child.kill('SIGTERM')
  expect(await child.ended).toBe(0)
  for (const line of child.lines) expect(JSON.parse(line)).toHaveProperty('type')
  expect(child.errorLines.filter((line) => !/^(debug|info|warn) .* program=(sender|receiver)$/.test(line))).toEqual([])
})

test('when nobody reads any more it ends, and says nothing of itself', async () => {
  const { spawnSync } = await import('node:child_process')
  const command = `"${process.execPath}" --conditions=@glueberry/source "${main}" --seconds 1000 --every 300 | head -2`
  const { stdout, stderr, status } = spawnSync('sh', ['-c', command], { encoding: 'utf8' })
  expect([stdout.trim().split('\n').length, stderr, status]).toEqual([2, '', 0])
})
