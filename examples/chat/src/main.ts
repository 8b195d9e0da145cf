import { userInfo } from 'node:os'
import { Identity } from '@glueberry/node'
import { createLogger } from '@glueberry/terminal'
import { readArguments, USAGE } from './arguments.ts'
import { Chat, explain } from './chat.ts'
import { readInvite } from './invite.ts'
import { presentable } from './names.ts'
import { openScreen } from './screen.ts'
import { onSignals } from './signals.ts'

const OK = 0
const FAILED = 1
const WRONG_USAGE = 2

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  const options = readArguments(args)
  if ('help' in options) {
    process.stdout.write(USAGE)
    return OK
  }
  if ('problem' in options) return refuse(options.problem)

  let invite: readonly string[] | undefined
  try {
    invite = options.invite === undefined ? undefined : readInvite(options.invite)
  } catch (error) {
    return refuse(explain(error))
  }

  const screen = openScreen({
    input: process.stdin,
    output: process.stdout,
    notices: process.stderr,
    json: options.json,
  })
  try {
    const identity = options.key === undefined ? Identity.generate() : await Identity.loadOrCreate(options.key)
    const chat = new Chat({
      identity,
      name: options.name ?? userName(),
      listen: options.listen,
      screen,
      logger: createLogger(options.logLevel, screen.log),
    })
    const wish = onSignals(
      () => chat.leave(),
      (exitCode) => process.exit(exitCode),
    )
    screen.onInterrupt(() => wish('SIGINT'))
    // Nobody reads any more: there is nothing left to say, and nobody to say it to.
    for (const output of [process.stdout, process.stderr]) output.on('error', () => chat.leave())
    await chat.run(invite)
    return OK
  } catch (error) {
    await screen.show({
      type: 'error',
      message: `${invite === undefined ? 'The chat cannot start' : 'The chat cannot be joined'}: ${explain(error)}`,
    })
    return FAILED
  } finally {
    screen.close()
    process.stdin.destroy() // an open terminal would keep the program alive
  }
}

function refuse(problem: string): number {
  process.stderr.write(`${problem}\n\n${USAGE}`)
  return WRONG_USAGE
}

function userName(): string {
  try {
    return presentable(userInfo().username) || 'somebody'
  } catch {
    return 'somebody' // a user without a name, as in some containers
  }
}
