/** What the examples share. */

export { createLogger, LOG_LEVELS, type LogLevel, readLogLevel } from './log.ts'
export { printable } from './printable.ts'
