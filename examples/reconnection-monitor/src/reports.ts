import type { Logger } from '@glueberry/node'
import { createLogger, readLogLevel } from '@glueberry/terminal'

/** What the two programs tell the monitor, over the channel between parent and child. */
export interface SenderReport {
  readonly from: 'sender'
  readonly state: string
  /** The attempt that is under way or waited for, and how long the wait is in all, in milliseconds. */
  readonly attempt: number
  readonly delay: number
  /** Accepted, and not consumed at the other end. */
  readonly buffered: number
  readonly sent: number
  readonly reconnects: number
  readonly undelivered: number
  /** It has drained: nothing more is sent, and whether everything was consumed. */
  readonly drained?: boolean
}

export interface ReceiverReport {
  readonly from: 'receiver'
  readonly address?: string
  readonly received: number
  readonly lost: number
  readonly duplicated: number
}

/** How often they tell it, in milliseconds. */
export const INTERVAL = 100

/** Tells the monitor; without one there is nothing to live for. */
export function report(message: SenderReport | ReceiverReport): void {
  process.send?.(message, undefined, undefined, () => {}) // a monitor that is gone is noticed by `disconnect`
}

/** The log of one program, at the level that the monitor gave as its first argument. */
export function logger(program: 'sender' | 'receiver'): Logger {
  const { stderr } = process
  stderr.on('error', () => {}) // nobody reads the log: the figures go another way
  // At a terminal it takes the place of the monitor's line of figures, which comes again below.
  const before = stderr.isTTY ? '\r\u001b[2K' : ''
  return createLogger(readLogLevel(process.argv[2] as string), (line) =>
    stderr.write(`${before}${line} program=${program}\n`),
  )
}
