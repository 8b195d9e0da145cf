import { expect, test } from 'vitest'
import { createLogger, LOG_LEVELS, type LogLevel, readLogLevel } from '../src/index.ts'

function log(level: LogLevel) {
  const lines: string[] = []
  return { lines, logger: createLogger(level, (line) => lines.push(line)) }
}

test.each([
  ['silent', []],
  ['error', ['error e']],
  ['warn', ['error e', 'warn w']],
  ['info', ['error e', 'warn w', 'info i']],
  ['debug', ['error e', 'warn w', 'info i', 'debug d']],
] as const)('at the level %s', (level, wanted) => {
  const { lines, logger } = log(level)
  logger.error('e')
  logger.warn('w')
  logger.info('i')
  logger.debug('d')
  expect(lines).toEqual(wanted)
})

test('an entry is one line: the level, the message, and fields that can be told apart', () => {
  const { lines, logger } = log('debug')
  logger.warn('it waits', { peerId: '12D3', delay: 5, reason: 'no answer', none: undefined, empty: '', quoted: 'a"b' })
  logger.error('failed', { error: new Error('line 1\nline 2'), more: { a: [1, 2n] } })
  expect(lines).toEqual([
    'warn it waits peerId=12D3 delay=5 reason="no answer" empty="" quoted="a\\"b"',
    'error failed error="line 1line 2" more="{ a: [ 1, 2n ] }"',
  ])
})

test('a remote’s words neither reach the terminal as they are nor make a field of their own', () => {
  const { lines, logger } = log('debug')
  logger.warn('refused\u001b[2J\nerror forged', {
    reason: 'x\u202e\u200b y=1',
    error: new Error('\u001b]0;t\u0007z=2'),
  })
  expect(lines).toEqual(['warn refusederror forged reason="x y=1" error="z=2"'])
})

test('a level is read, or refused with what was wanted and got', () => {
  expect(LOG_LEVELS.map(readLogLevel)).toEqual(LOG_LEVELS)
  for (const wrong of ['', 'WARN', 'loud', 'toString'])
    expect(() => readLogLevel(wrong)).toThrow(
      `--log-level must be one of silent, error, warn, info, debug, got ${JSON.stringify(wrong)}`,
    )
})
