import { clearScreenDown, createInterface, cursorTo, type Interface, moveCursor } from 'node:readline'
import type { Readable, Writable } from 'node:stream'

/** What happens in a chat, as it is shown: also the objects of `--json`. */
type Shown =
  | {
      readonly type: 'ready'
      readonly peerId: string
      readonly addresses: readonly string[]
      readonly invite: string | undefined
    }
  | { readonly type: 'joined'; readonly peerId: string; readonly name: string }
  | { readonly type: 'left'; readonly peerId: string; readonly name: string; readonly reason: string }
  /** Not here for a while: what is typed is kept. */
  | { readonly type: 'away'; readonly peerId: string; readonly name: string; readonly reason: string }
  /** Tried again after so many milliseconds. */
  | {
      readonly type: 'retry'
      readonly peerId: string
      readonly name: string
      readonly attempt: number
      readonly delay: number
    }
  | { readonly type: 'back'; readonly peerId: string; readonly name: string }
  | { readonly type: 'line'; readonly peerId: string; readonly name: string; readonly text: string }
  | { readonly type: 'waiting' }
  /** Leaving, with so many lines still to be delivered. */
  | { readonly type: 'closing'; readonly lines: number }
  | { readonly type: 'undelivered'; readonly lines: number }
  | { readonly type: 'error'; readonly message: string }

/** Where lines come from and where everything is shown. */
export interface Screen {
  /** Lines that are typed, until the input ends or `close`. */
  readonly lines: AsyncIterable<string>
  /** Resolves when there is room for more. */
  show(event: Shown): Promise<void>
  /** A line of the log, beside what is shown. */
  log(line: string): void
  /** Calls back for Ctrl+C where the terminal does not make a signal of it. */
  onInterrupt(listener: () => void): void
  /** Ends the lines. */
  close(): void
}

export interface ScreenOptions {
  readonly input: Readable & { readonly isTTY?: boolean }
  readonly output: Writable & { readonly isTTY?: boolean }
  readonly notices: Writable
  readonly json: boolean
}

/** A terminal gets everything; where either end is a pipe, the output holds nothing but lines, and the notices go aside. */
export function openScreen({ input, output, notices, json }: ScreenOptions): Screen {
  const terminal = input.isTTY === true && output.isTTY === true && !json
  const reader: Interface = createInterface(terminal ? { input, output, prompt: '> ' } : { input, terminal: false })
  const lines = reader[Symbol.asyncIterator]()

  let closed = false
  /** The line that is being typed, over however many rows, makes room. */
  const makeRoom = (): void => {
    moveCursor(output, 0, -reader.getCursorPos().rows)
    cursorTo(output, 0)
    clearScreenDown(output)
  }
  reader.on('close', () => {
    closed = true
    if (terminal) makeRoom()
  })
  if (terminal) {
    reader.on('line', () => closed || reader.prompt())
    reader.on('SIGTSTP', () => {}) // npm and the shell would not come back from it
  }

  /** Whether there is room for more. */
  const put = (target: Writable, text: string): boolean => {
    if (terminal && !closed) makeRoom() // and it comes back below
    const room = target.write(`${text}\n`)
    if (terminal && !closed) reader.prompt(true)
    return room
  }
  const write = (target: Writable, text: string): Promise<void> | undefined =>
    put(target, text) || target.destroyed ? undefined : drained(target)
  return {
    lines: { [Symbol.asyncIterator]: () => lines },
    async show(event) {
      if (json) return write(output, JSON.stringify(event))
      const isLine = event.type === 'line'
      return write(isLine || terminal ? output : notices, words(event))
    },
    log: (line) => void put(notices, line),
    onInterrupt: (listener) => void reader.on('SIGINT', listener),
    close: () => reader.close(),
  }
}

/** Resolves when there is room again, or never will be. */
function drained(target: Writable): Promise<void> {
  return new Promise((resolve) => {
    const settle = (): void => {
      target.off('drain', settle)
      target.off('close', settle)
      resolve()
    }
    target.on('drain', settle)
    target.on('close', settle)
  })
}

function words(event: Shown): string {
  switch (event.type) {
    case 'ready':
      return [
        `You are ${event.peerId}`,
        ...event.addresses.map((address) => `Listening on ${address}`),
        event.invite === undefined ? 'Nobody can be invited: there is no TCP address.' : `Invite: ${event.invite}`,
        ...(event.invite === undefined ? [] : ['In another terminal: npm run chat -- <invite>']),
      ].join('\n')
    case 'joined':
      return `* ${event.name} is here`
    case 'left':
      return `* ${event.name} has left (${event.reason})`
    case 'away':
      return `* ${event.name} is away (${event.reason}): what you type is kept`
    case 'retry':
      return `* trying to reach ${event.name} again and again, and at once when you type`
    case 'back':
      return `* ${event.name} is back`
    case 'line':
      return `${event.name}: ${event.text}`
    case 'waiting':
      return '* nobody is here: your line waits for the first who joins'
    case 'closing':
      return event.lines === 0
        ? '* leaving'
        : `* leaving: delivering ${event.lines === 1 ? 'one line' : `${event.lines} lines`} (once more to leave at once)`
    case 'undelivered':
      return `* ${event.lines} of your lines could not be delivered`
    case 'error':
      return `* ${event.message}`
  }
}
