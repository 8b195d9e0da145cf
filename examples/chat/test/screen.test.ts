import { PassThrough } from 'node:stream'
import { Identity } from '@glueberry/node'
import { createLogger } from '@glueberry/terminal'
import { eventually } from '@glueberry/testkit'
import { expect, test } from 'vitest'
import { Chat } from '../src/chat.ts'
import { openScreen } from '../src/screen.ts'

const logger = createLogger('silent', () => {})

/** A terminal: what is typed, and everything that was ever written to the screen. */
function terminal(columns = 80) {
  const input = Object.assign(new PassThrough(), { isTTY: true, setRawMode: () => {} })
  const output = Object.assign(new PassThrough(), { isTTY: true, columns, rows: 24 })
  let written = ''
  output.on('data', (chunk) => {
    written += chunk
  })
  const notices = new PassThrough()
  let noticed = ''
  notices.on('data', (chunk) => {
    noticed += chunk
  })
  const screen = openScreen({ input, output, notices, json: false })
  return { input, screen, text: () => written, aside: () => noticed }
}

test('in a terminal, what comes in makes the typed line give way, over all its rows, and brings it back', async () => {
  const { input, screen, text } = terminal(20)
  input.write('x'.repeat(50)) // with the prompt, three rows
  await eventually(() => text().includes('x'.repeat(50)))
  const before = text().length
  await screen.show({ type: 'line', peerId: 'p', name: 'bob', text: 'hello' })
  const shown = text().slice(before)
  expect(shown.startsWith('\u001b[2A\u001b[1G\u001b[0Jbob: hello\n')).toBe(true) // two rows up, to the left, clear below
  expect(shown).toContain(`> ${'x'.repeat(50)}`)
  screen.close()
})

test('in a terminal, a line of the log makes the typed line give way too, and the log itself goes aside', async () => {
  const { input, screen, text, aside } = terminal()
  input.write('typing')
  await eventually(() => text().includes('typing'))
  const before = text().length
  screen.log('warn something peerId=x')
  expect(aside()).toBe('warn something peerId=x\n')
  expect(text().slice(before).startsWith('\u001b[1G\u001b[0J')).toBe(true) // to the left, clear below
  expect(text().slice(before)).toContain('> typing')
  expect(text()).not.toContain('something')
  screen.close()
})

test('every notice begins in a way that no name does', async () => {
  const { screen, text } = terminal()
  await screen.show({ type: 'error', message: 'Bob: it is broken' })
  expect(text()).toContain('* Bob: it is broken\n')
  screen.close()
})

test('a prompt comes back behind every line that is typed; what is shown after closing needs none', async () => {
  const { input, screen, text } = terminal()
  const lines = screen.lines[Symbol.asyncIterator]()
  input.write('one\r')
  expect((await lines.next()).value).toBe('one')
  await eventually(() => text().endsWith('\u001b[3G')) // behind `> `
  screen.close()
  screen.close()
  await screen.show({ type: 'closing', lines: 0 })
  expect(text()).toMatch(/\* leaving\n$/)
  expect(await lines.next()).toMatchObject({ done: true })
})

test('two chats in terminals: lines are exchanged, /quit delivers first, Ctrl+C and Ctrl+D leave', async () => {
  for (const end of ['last words\r/quit\r', '\u0003', '\u0004'] as const) {
    const [a, b] = [terminal(), terminal()]
    const make = (name: string, screen: typeof a.screen) =>
      new Chat({ identity: Identity.generate(), name, listen: ['/ip4/127.0.0.1/tcp/0'], screen, logger })
    const [alice, bob] = [make('alice', a.screen), make('bob', b.screen)]
    b.screen.onInterrupt(() => bob.leave())
    const host = alice.run(undefined)
    await eventually(() => /Listening on (\S+)/.test(a.text()))
    const address = /Listening on (\S+)/.exec(a.text())?.[1] as string
    const guest = bob.run([address])
    await eventually(() => b.text().includes('alice is here') && a.text().includes('bob is here'))
    a.input.write('hi bob\r')
    await eventually(() => b.text().includes('alice: hi bob'))
    b.input.write(end)
    await guest
    if (end.startsWith('last')) await eventually(() => a.text().includes('bob: last words'))
    await eventually(() => a.text().includes('bob has left (said goodbye)'))
    alice.leave()
    await host
    expect(a.text()).toMatch(/\* leaving\n$/)
  }
})
