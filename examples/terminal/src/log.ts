import { inspect } from 'node:util'
import type { Logger } from '@glueberry/node'
import { printable } from './printable.ts'

/** From the fewest entries to the most. */
export const LOG_LEVELS = ['silent', 'error', 'warn', 'info', 'debug'] as const

export type LogLevel = (typeof LOG_LEVELS)[number]

/**
 * The level that an argument names.
 *
 * @throws Error that names what was wanted and what was got
 */
export function readLogLevel(text: string): LogLevel {
  const level = LOG_LEVELS.find((level) => level === text)
  if (level === undefined)
    throw new Error(`--log-level must be one of ${LOG_LEVELS.join(', ')}, got ${JSON.stringify(text)}`)
  return level
}

/** A node's logger: one line an entry, `level message key=value`, for entries of this level and above. */
export function createLogger(level: LogLevel, writeLine: (line: string) => void): Logger {
  const at =
    (own: Exclude<LogLevel, 'silent'>) =>
    (message: string, fields: object = {}): void => {
      if (LOG_LEVELS.indexOf(own) > LOG_LEVELS.indexOf(level)) return
      const pairs = Object.entries(fields).filter(([, value]) => value !== undefined)
      writeLine([own, printable(message), ...pairs.map(([key, value]) => `${key}=${show(value)}`)].join(' '))
    }
  return { error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug') }
}

/** In quotes where it would not be one word. A remote may have written any of it. */
function show(value: unknown): string {
  const text = value instanceof Error ? value.message : value
  const word = printable(typeof text === 'string' ? text : inspect(text, { breakLength: Number.POSITIVE_INFINITY }))
  return /^[^\s"=]+$/.test(word) ? word : JSON.stringify(word)
}
