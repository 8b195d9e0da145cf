import { parseArgs } from 'node:util'
import { LOG_LEVELS, type LogLevel, readLogLevel } from '@glueberry/terminal'
import { NAME_MAX } from './names.ts'

/** What the chat was asked to do. */
export interface Arguments {
  readonly invite: string | undefined
  readonly name: string | undefined
  readonly listen: readonly string[]
  readonly key: string | undefined
  readonly json: boolean
  readonly logLevel: LogLevel
}

/** Said to who asked for help, and behind a wrong argument. */
export const USAGE: string = `Usage: npm run chat -- [options] [invite]

Without an invite it waits for others and prints one; with an invite (glueberry:… or a multiaddr that
ends with /p2p/…) it joins. What is typed is sent to everyone who is connected. /quit leaves.

  --name NAME     what others see, up to ${NAME_MAX} characters (default: your user name)
  --listen ADDR   a multiaddr to listen on, may be given again (default: /ip4/0.0.0.0/tcp/0)
  --key FILE      keep the identity in this file (default: a new identity every time)
  --json          write one JSON object per event
  --log-level LEVEL
                  what the node logs to standard error: ${LOG_LEVELS.join(', ')} (default: warn)
  --help          show this
`

/** The arguments, or what is wrong with them. */
export function readArguments(
  args: readonly string[],
): Arguments | { readonly help: true } | { readonly problem: string } {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        name: { type: 'string' },
        listen: { type: 'string', multiple: true },
        key: { type: 'string' },
        json: { type: 'boolean', default: false },
        'log-level': { type: 'string', default: 'warn' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
    if (values.help) return { help: true }
    if (positionals.length > 1)
      return { problem: `one invite is enough, got ${positionals.length}: ${positionals.join(' ')}` }
    if (values.name !== undefined && (values.name.trim() === '' || [...values.name].length > NAME_MAX)) {
      return { problem: `--name takes 1 to ${NAME_MAX} characters, got ${JSON.stringify(values.name)}` }
    }
    return {
      invite: positionals[0],
      name: values.name,
      listen: values.listen ?? ['/ip4/0.0.0.0/tcp/0'],
      key: values.key,
      json: values.json,
      logLevel: readLogLevel(values['log-level']),
    }
  } catch (error) {
    return { problem: (error as Error).message }
  }
}
