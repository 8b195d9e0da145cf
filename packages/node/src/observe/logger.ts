import type { Clock } from '../clock.ts'
import { textOf } from '../errors.ts'
import { printable } from '../printable.ts'

/** Where a node logs to: the part of pino's and the console's interface that it needs. */
export interface Logger {
  /** Every transition and session: for the developers of this library. */
  debug(message: string, fields?: object): void
  /** What an operator wants to know of a node's life. */
  info(message: string, fields?: object): void
  /** What the programmer should look at. */
  warn(message: string, fields?: object): void
  /** What failed without a caller to be told. */
  error(message: string, fields?: object): void
}

const nothing = (): void => undefined

/** Says nothing. */
export const silentLogger: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing }

/** One message is written no more often than this, in milliseconds. */
const PACE = 10_000
/** Kinds of messages that are remembered. */
const KINDS_MAX = 1000

/**
 * Writes warnings and errors to stderr, for a program that has configured no logger: one line each, and each kind at
 * most once in ten seconds, with the number of those that were left out.
 */
export function stderrLogger(clock: Clock, write: (line: string) => void = writeToStderr): Logger {
  const kinds = new Map<string, { at: number; left: number }>()
  const log =
    (level: string) =>
    (message: string, fields: object = {}): void => {
      const now = clock.elapsed()
      const name = `${level} ${message}`
      const kind = kinds.get(name)
      if (kind !== undefined && now - kind.at < PACE) {
        kind.left++
        return
      }
      kinds.delete(name)
      kinds.set(name, { at: now, left: 0 })
      if (kinds.size > KINDS_MAX) kinds.delete(kinds.keys().next().value as string)
      const left = kind === undefined || kind.left === 0 ? '' : ` (and ${kind.left} more like this)`
      write(printable(`glueberry ${level}: ${message}${words(fields)}${left}`))
    }
  return { debug: nothing, info: nothing, warn: log('warning'), error: log('error') }
}

/** By the console, which ignores a stderr whose reader is gone: a write of our own would end the program. */
function writeToStderr(line: string): void {
  console.error(line)
}

function words(fields: object): string {
  const parts = Object.entries(fields).flatMap(([name, value]) => {
    if (value === undefined) return []
    const text = typeof value === 'string' ? value : describe(value)
    return [`${name}=${/[\s"=]/.test(text) ? JSON.stringify(text) : text}`]
  })
  return parts.length === 0 ? '' : ` ${parts.join(' ')}`
}

/** A value as a line shows it; of what an application threw, not even its class can be asked for safely. */
function describe(value: unknown): string {
  try {
    return value instanceof Error ? textOf(value) : JSON.stringify(value)
  } catch {
    return textOf(value)
  }
}

/** The user's logger, as it is called here: what it throws is nobody's business but its own. */
export function safeLogger(logger: Logger): Logger {
  const safe =
    (level: keyof Logger) =>
    (message: string, fields?: object): void => {
      try {
        logger[level](message, fields)
      } catch {
        // There is nowhere to say it.
      }
    }
  return { debug: safe('debug'), info: safe('info'), warn: safe('warn'), error: safe('error') }
}
