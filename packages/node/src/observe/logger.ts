/** Where a node logs to: the part of pino's and the console's interface that it needs. */
export interface Logger {
  /** Every transition and session, for who looks for a fault. */
  debug(message: string, fields?: object): void
  /** What a long-lived program may want to keep. */
  info(message: string, fields?: object): void
  /** What the programmer should look at. */
  warn(message: string, fields?: object): void
  /** What failed without a caller to be told. */
  error(message: string, fields?: object): void
}

const nothing = (): void => undefined

/** Says nothing: a library is silent unless it is given a logger. */
export const silentLogger: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing }

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
