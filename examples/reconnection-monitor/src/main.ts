import { type ChildProcess, fork } from 'node:child_process'
import { emitKeypressEvents } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { LOG_LEVELS, type LogLevel, readLogLevel } from '@glueberry/terminal'
import { CutProxy } from './cut-proxy.ts'
import type { ReceiverReport, SenderReport } from './reports.ts'

const USAGE = `A sender and a receiver, two processes, and a line between them that is cut again and again.

  npm run reconnection -- [options]

  --seconds N   end after N seconds (default 20; at a terminal, until q)
  --every MS    cut about so often, in milliseconds (default 2000)
  --manual      cut only when c is pressed
  --json        one JSON object a line
  --log-level LEVEL
                what both nodes log to standard error: ${LOG_LEVELS.join(', ')} (default: warn)
  --help

At a terminal: c cuts the line, q ends. The exit code is 1 when anything was lost, doubled or not delivered.
`

interface Options {
  readonly seconds: number | undefined
  readonly every: number
  readonly manual: boolean
  readonly json: boolean
  readonly logLevel: LogLevel
}

function readOptions(): Options | undefined {
  try {
    const { values } = parseArgs({
      options: {
        seconds: { type: 'string' },
        every: { type: 'string', default: '2000' },
        manual: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        'log-level': { type: 'string', default: 'warn' },
        help: { type: 'boolean', default: false },
      },
    })
    if (values.help) {
      process.stdout.write(USAGE)
      return undefined
    }
    return {
      seconds: values.seconds === undefined ? undefined : positive('--seconds', values.seconds),
      every: positive('--every', values.every),
      manual: values.manual,
      json: values.json,
      logLevel: readLogLevel(values['log-level']),
    }
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}`)
    process.exitCode = 2
    return undefined
  }
}

function positive(name: string, text: string): number {
  const number = Number(text)
  if (!(number > 0 && number <= 1_000_000))
    throw new Error(`${name} must be a number from above 0 to 1000000, got ${text}`)
  return number
}

/** Both programs, the line between them, and what they told last. */
class Monitor {
  readonly #options: Options
  readonly #terminal: boolean
  readonly #over = Promise.withResolvers<void>()
  #proxy: CutProxy | undefined
  #sender: SenderReport | undefined
  #receiver: ReceiverReport | undefined
  #children: ChildProcess[] = []
  #ending = false

  constructor(options: Options) {
    this.#options = options
    this.#terminal = process.stdout.isTTY === true && !options.json
  }

  /** Runs to the end; whether everything arrived once. */
  async run(): Promise<boolean> {
    const { seconds = process.stdin.isTTY ? undefined : 20, every, manual } = this.#options
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => this.#over.resolve())
    const receiver = this.#start('receiver.ts', [])
    const address = await this.#address()
    const [, port, suffix] = /\/tcp\/(\d+)(\/p2p\/.*)$/.exec(address) as RegExpExecArray
    const proxy = new CutProxy(Number(port))
    this.#proxy = proxy
    const sender = this.#start('sender.ts', [`/ip4/127.0.0.1/tcp/${await proxy.listen()}${suffix}`])
    const timers: NodeJS.Timeout[] = [setInterval(() => this.#show(), this.#terminal ? 100 : 1000)]
    if (seconds !== undefined) timers.push(setTimeout(() => this.#over.resolve(), seconds * 1000))
    const cutSoon = (): void => {
      timers.push(
        setTimeout(
          () => {
            proxy.cut()
            cutSoon()
          },
          every * (0.5 + Math.random()),
        ),
      )
    }
    if (!manual) cutSoon()
    const releaseKeys = this.#readKeys()

    await this.#over.promise
    this.#ending = true
    for (const timer of timers) clearTimeout(timer)
    if (sender.connected) sender.send('over')
    await Promise.race([this.#until(() => this.#sender?.drained !== undefined), ended(sender)])
    // The receiver's last word is about what the sender's drain has waited for.
    await Promise.race([
      this.#until(() => (this.#receiver?.received ?? 0) >= (this.#sender?.sent ?? 0)),
      ended(receiver),
      later(2000),
    ])
    proxy.close()
    releaseKeys()
    await Promise.all(this.#children.map((child) => stop(child)))
    return this.#summary()
  }

  /** Ends `run`, after what was sent has arrived. */
  end(): void {
    this.#over.resolve()
  }

  #start(file: string, args: string[]): ChildProcess {
    const child = fork(fileURLToPath(new URL(file, import.meta.url)), [this.#options.logLevel, ...args])
    child.on('message', (message) => {
      const told = message as SenderReport | ReceiverReport
      if (told.from === 'sender') this.#sender = told
      else this.#receiver = told
      for (const check of [...this.#checks]) check()
    })
    child.on('exit', () => {
      if (!this.#ending) this.#over.resolve() // it was not asked to: the summary says what is missing
    })
    this.#children.push(child)
    return child
  }

  readonly #checks = new Set<() => void>()

  /** Resolves when what was told makes it true. */
  #until(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (!condition()) return
        this.#checks.delete(check)
        resolve()
      }
      this.#checks.add(check)
      check()
    })
  }

  async #address(): Promise<string> {
    await Promise.race([this.#until(() => this.#receiver?.address !== undefined), this.#over.promise])
    if (this.#receiver?.address === undefined) throw new Error('the receiver did not start')
    return this.#receiver.address
  }

  #readKeys(): () => void {
    const { stdin } = process
    if (!stdin.isTTY) return () => {}
    if (this.#terminal) process.stdout.write('c cuts the line, q ends\n')
    emitKeypressEvents(stdin)
    stdin.setRawMode(true)
    stdin.on('keypress', (_, key: { name?: string; ctrl?: boolean }) => {
      if (key.name === 'c' && key.ctrl !== true) this.#proxy?.cut()
      else if (key.name === 'q' || key.name === 'c') this.#over.resolve()
    })
    stdin.resume()
    return () => {
      stdin.setRawMode(false)
      stdin.pause()
    }
  }

  get #figures() {
    const {
      state = 'starting',
      attempt = 0,
      delay = 0,
      buffered = 0,
      sent = 0,
      reconnects = 0,
      undelivered = 0,
    } = this.#sender ?? {}
    const { received = 0, lost = 0, duplicated = 0 } = this.#receiver ?? {}
    const cuts = this.#proxy?.cuts ?? 0
    return {
      state,
      attempt,
      delay: Math.round(delay),
      buffered,
      sent,
      received,
      lost,
      duplicated,
      undelivered,
      cuts,
      reconnects,
    }
  }

  #show(): void {
    const figures = this.#figures
    if (this.#options.json) return void process.stdout.write(`${JSON.stringify({ type: 'status', ...figures })}\n`)
    const trying = figures.attempt === 0 ? '' : ` (attempt ${figures.attempt}, after ${figures.delay} ms)`
    const text = `lost ${figures.lost} · duplicated ${figures.duplicated} · ${figures.state}${trying} · cuts ${figures.cuts} · buffered ${figures.buffered} · sent ${figures.sent} · received ${figures.received}`
    // One line that is written over: as much of it as the terminal is wide.
    process.stdout.write(
      this.#terminal ? `\r\u001b[2K${text.slice(0, (process.stdout.columns ?? 80) - 1)}` : `${text}\n`,
    )
  }

  #summary(): boolean {
    const figures = this.#figures
    const { sent, received, lost, duplicated, undelivered, cuts, reconnects } = figures
    const ok = this.#sender?.drained === true && sent > 0 && received === sent && lost + duplicated + undelivered === 0
    if (this.#options.json) process.stdout.write(`${JSON.stringify({ type: 'summary', ok, ...figures })}\n`)
    else {
      const verdict = ok ? 'everything arrived, once and in order' : 'NOT everything arrived once and in order'
      process.stdout.write(
        `${this.#terminal ? '\r\u001b[2K' : ''}${verdict}: ${cuts} cuts, ${reconnects} reconnects, ${sent} sent, ${received} received, ${lost} lost, ${duplicated} duplicated, ${undelivered} given up\n`,
      )
    }
    return ok
  }
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve()
    else child.once('exit', () => resolve())
  })
}

/** The channel's end is what a child stops at; one that does not is ended. */
async function stop(child: ChildProcess): Promise<void> {
  if (child.connected) child.disconnect()
  const patience = setTimeout(() => child.kill('SIGKILL'), 5000)
  await ended(child)
  clearTimeout(patience)
}

function later(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds).unref())
}

const options = readOptions()
if (options !== undefined) {
  const monitor = new Monitor(options)
  process.stdout.on('error', () => monitor.end()) // nobody reads any more
  process.exitCode = (await monitor.run()) ? 0 : 1
}
