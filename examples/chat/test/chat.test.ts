import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Identity } from '@glueberry/node'
import { type Child, eventually, spawnNode } from '@glueberry/testkit'
import { describe, expect, test } from 'vitest'

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))
const chat = (...args: string[]): Child => spawnNode([main, '--listen', '/ip4/127.0.0.1/tcp/0', ...args])
const inviteOf = async (child: Child): Promise<string> => (await child.line(/^Invite: (.*)$/))[1] as string

/** Two chats that see each other. */
async function two(...args: string[]): Promise<AsyncDisposable & { host: Child; guest: Child; invite: string }> {
  const host = chat('--name', 'host', ...args)
  const invite = await inviteOf(host)
  const guest = chat('--name', 'guest', ...args, invite)
  await Promise.all([host.line(/guest is here/), guest.line(/host is here/)])
  return {
    host,
    guest,
    invite,
    async [Symbol.asyncDispose]() {
      await Promise.all([host[Symbol.asyncDispose](), guest[Symbol.asyncDispose]()])
    },
  }
}

const noStack = (child: Child): void =>
  expect([...child.lines, ...child.errorLines].filter((line) => /^\s+at |Unhandled|Error:/.test(line))).toEqual([])

test('two chats exchange 1,000 lines each way: every line, in order, and nothing else on the output', async () => {
  await using both = await two()
  const { host, guest } = both
  const lines = (name: string) => Array.from({ length: 1000 }, (_, i) => `${name} says ${i}`)
  host.write(`${lines('host').join('\n')}\n`)
  guest.write(`${lines('guest').join('\n')}\n`)
  await Promise.all([host.line(/^guest: guest says 999$/), guest.line(/^host: host says 999$/)])
  expect(host.lines).toEqual(lines('guest').map((line) => `guest: ${line}`))
  expect(guest.lines).toEqual(lines('host').map((line) => `host: ${line}`))
})

test('when one is killed, the other says so, and others can come', async () => {
  await using both = await two()
  both.guest.kill('SIGKILL')
  await both.host.line(/guest is away \(the connection broke\): what you type is kept/)
  await using again = chat('--name', 'again', both.invite)
  await again.line(/host is here/)
})

test('a host that is killed and comes back is found again, and shown what was typed meanwhile', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'glueberry-chat-'))
  const key = join(folder, 'host.key')
  const first = chat('--name', 'host', '--key', key)
  const invite = await inviteOf(first)
  const port = /\/tcp\/(\d+)/.exec([...first.lines, ...first.errorLines].join('\n'))?.[1]
  await using guest = chat('--name', 'guest', invite)
  await guest.line(/host is here/)
  first.kill('SIGKILL')
  await guest.line(/host is away/)
  guest.write('are you there?\n')
  await using second = spawnNode([main, '--listen', `/ip4/127.0.0.1/tcp/${port}`, '--name', 'host', '--key', key])
  await guest.line(/host is back/)
  await second.line(/^guest: are you there\?$/)
  second.write('yes\n')
  await guest.line(/^host: yes$/)
  expect([...guest.lines, ...guest.errorLines].filter((line) => /has left/.test(line))).toEqual([])
  await rm(folder, { recursive: true })
})

test('an invite with a wrong key is refused with a message that a person understands', async () => {
  await using host = chat()
  const invite = (await inviteOf(host)).replace(/12D3KooW[^@]+/, Identity.generate().peerId)
  await using guest = chat(invite)
  expect(await guest.ended).toBe(1)
  expect(guest.errorLines.join('\n')).toMatch(
    /The chat cannot be joined: .* answered there \(the key of that node has changed.*ask for a new invite/,
  )
  noStack(guest)
})

test('nobody at the address: said plainly, exit code 1', async () => {
  await using guest = chat(`glueberry:${Identity.generate().peerId}@127.0.0.1:1`)
  expect(await guest.ended).toBe(1)
  expect(guest.errorLines.at(-2) + (guest.errorLines.at(-1) as string)).toMatch(
    /cannot be joined: cannot connect to .*ECONNREFUSED/,
  )
  noStack(guest)
})

test.each([
  [['--nmae', 'x'], /--nmae/],
  [['--name'], /--name/],
  [['--name', 'x'.repeat(33)], /1 to 32 characters/],
  [['--log-level', 'loud'], /--log-level must be one of silent, error, warn, info, debug, got "loud"/],
  [['one', 'two'], /one invite is enough/],
  [['hello'], /an invite looks like glueberry:/],
  [['/nonsense'], /an invite looks like glueberry:/],
  [[`/ip4/127.0.0.1/tcp/99999/p2p/${Identity.generate().peerId}`], /an invite looks like glueberry:/],
  [['/ip4/127.0.0.1/tcp/1'], /an invite looks like glueberry:/],
  [['glueberry:12D3@127.0.0.1:1'], /peer id/],
  [[`glueberry:${Identity.generate().peerId}@nowhere`], /an invite looks like/],
])('wrong arguments %j: what is right, and exit code 2', async (args, message) => {
  await using child = spawnNode([main, ...args])
  expect(await child.ended).toBe(2)
  expect(child.errorLines.join('\n')).toMatch(message)
  expect(child.errorLines.join('\n')).toContain('Usage: npm run chat')
  noStack(child)
})

test('--help says how, exit code 0; an address that cannot be listened on is refused, exit code 1', async () => {
  await using help = spawnNode([main, '--help'])
  expect(await help.ended).toBe(0)
  expect(help.lines[0]).toMatch(/^Usage:/)
  expect(help.lines.join('\n')).toContain('--log-level LEVEL')
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  await using taken = spawnNode([main, '--listen', `/ip4/127.0.0.1/tcp/${(server.address() as { port: number }).port}`])
  expect(await taken.ended).toBe(1)
  expect(taken.errorLines.join('\n')).toMatch(/cannot start: cannot listen: /)
  server.close()
})

describe('leaving', () => {
  test.each([
    ['/quit', (child: Child) => child.write('/quit\n')],
    ['the end of input', (child: Child) => void child.process.stdin.end()],
    ['SIGINT', (child: Child) => child.kill('SIGINT')],
    ['SIGTERM', (child: Child) => child.kill('SIGTERM')],
  ])('by %s: what was typed is delivered first, exit code 0', async (_, leave) => {
    await using both = await two()
    const { host, guest } = both
    for (let i = 0; i < 200; i++) guest.write(`line ${i}\n`)
    // A signal may come before the input was read: what was read is delivered, in order, and without a gap.
    if (_.startsWith('SIG')) await host.line(/^guest: line 100$/)
    leave(guest)
    expect(await guest.ended).toBe(0)
    await host.line(/guest has left \(said goodbye\)/)
    const got = host.lines.filter((line) => line.startsWith('guest: '))
    expect(got).toEqual(Array.from({ length: got.length }, (_, i) => `guest: line ${i}`))
    expect(got.length).toBeGreaterThan(_.startsWith('SIG') ? 100 : 199)
    noStack(guest)
  })

  test('a burst of signals is one wish, cleaned up after once', async () => {
    await using both = await two()
    for (const signal of ['SIGINT', 'SIGINT', 'SIGTERM', 'SIGHUP', 'SIGINT'] as const) both.guest.kill(signal)
    expect(await both.guest.ended).toBe(0)
    expect(both.guest.errorLines.filter((line) => line.includes('leaving'))).toHaveLength(1)
  })

  test('a second signal leaves at once, although the other side takes nothing', async () => {
    await using both = await two()
    const { host, guest } = both
    host.kill('SIGSTOP')
    guest.write('never taken\n')
    guest.kill('SIGINT')
    await guest.line(/leaving: delivering one line/)
    const again = setInterval(() => guest.kill('SIGINT'), 100) // until it is not taken for the same burst
    const code = await guest.ended
    clearInterval(again)
    host.kill('SIGCONT')
    expect(code).toBe(130)
    noStack(guest)
  })

  test.each([
    ['starting', []],
    ['connecting', ['CONNECT']],
  ])('a signal while it is %s: a clean exit', async (_, args) => {
    const silent = createServer(() => {}).listen(0, '127.0.0.1') // accepts, and says nothing
    await new Promise((resolve) => silent.once('listening', resolve))
    const { port } = silent.address() as { port: number }
    const connected = new Promise((resolve) => silent.once('connection', resolve))
    await using child = chat(...args.map(() => `/ip4/127.0.0.1/tcp/${port}/p2p/${Identity.generate().peerId}`))
    if (args.length > 0) await connected
    else await child.line(/Invite/)
    child.kill('SIGTERM')
    expect(await child.ended).toBe(0)
    noStack(child)
    silent.close()
  })

  test('signals from the very first moment on: never a stack trace, whatever they hit', async () => {
    for (let round = 0; round < 3; round++) {
      await using child = chat()
      const signals = setInterval(() => child.kill('SIGTERM'), 5 + 100 * round)
      const outcome = await child.ended
      clearInterval(signals)
      // Killed before its first line of code ran, left in good order, or by a later signal at once.
      expect(['SIGTERM', 0, 143]).toContain(outcome)
      noStack(child)
    }
  })

  test('a broken pipe ends it quietly', async () => {
    await using both = await two()
    const { host, guest } = both
    guest.process.stdout.destroy()
    host.write('into nothing\n')
    for (let i = 0; i < 50; i++) host.write(`and more ${i}\n`)
    expect(await guest.ended).toBe(0)
    noStack(guest)
  })
})

test('--json writes one object per event', async () => {
  await using host = chat('--json', '--name', 'host')
  const ready = JSON.parse((await host.line(/"ready"/)).input)
  expect(ready).toMatchObject({
    type: 'ready',
    peerId: expect.stringMatching(/^12D3KooW/),
    invite: expect.stringMatching(/^glueberry:/),
  })
  await using guest = chat('--json', '--name', 'guest', ready.invite)
  guest.write('hi\n')
  await host.line(/"line"/)
  guest.write('/quit\n')
  await guest.ended
  await host.line(/"left"/)
  host.process.stdin.end()
  await host.ended
  const events = host.lines.map((line) => JSON.parse(line))
  const guestId = events[1].peerId
  expect(events.slice(1)).toEqual([
    { type: 'joined', peerId: guestId, name: 'guest' },
    { type: 'line', peerId: guestId, name: 'guest', text: 'hi' },
    { type: 'left', peerId: guestId, name: 'guest', reason: 'said goodbye' },
    { type: 'closing', lines: 0 },
  ])
})

test('control and escape sequences of others never reach the terminal, in a name neither', async () => {
  await using host = chat('--name', 'host')
  await using guest = chat('--name', 'gu\u001b[31mest\u202e', await inviteOf(host))
  await guest.line(/host is here/)
  guest.write('a\u001b]0;title\u0007b\u001b[2Jcd\u009b31me\u202ef\tg\u0000h\n')
  guest.write('plain\n')
  await host.line(/: plain$/)
  expect(host.lines).toEqual(['guest: abcdef gh', 'guest: plain'])
})

test('a name imitates neither a notice, nor the host, nor another guest', async () => {
  await using host = chat('--name', 'host')
  const invite = await inviteOf(host)
  await using bob = chat('--name', 'bob', invite)
  await bob.line(/host is here/)
  const says = async (name: string): Promise<string> => {
    await using guest = chat('--name', name, invite)
    await guest.line(/host( \w+)? is here/)
    guest.write(`I am ${name}\n`)
    const [line] = await host.line(new RegExp(`^.*: I am .*${name.slice(-3)}$`))
    return line
  }
  expect(await says('* eve is here')).toBe('eve is here: I am * eve is here')
  expect(await says('> eve: two')).toBe('eve two: I am > eve: two')
  expect(await says('Bob')).toMatch(/^Bob \w{8}: I am Bob$/)
  expect(await says('Host')).toMatch(/^Host \w{8}: I am Host$/)
})

test('--log-level debug logs the node on standard error, a line an entry; without it a good chat logs nothing', async () => {
  await using host = chat('--name', 'host', '--log-level', 'debug')
  const invite = await inviteOf(host)
  await using guest = chat('--name', 'guest', invite)
  const [, peerId] = await host.line(/^debug peer is established peerId=(\w+)( \w+=("[^"]*"|\S+))*$/)
  expect(invite).not.toContain(peerId)
  await guest.line(/host is here/)
  expect(host.lines).toEqual([])
  expect(guest.errorLines.filter((line) => /^(debug|info|warn|error) /.test(line))).toEqual([])
})

test('a line that is typed before anyone is there waits for the first who joins', async () => {
  await using host = chat('--name', 'host')
  const invite = await inviteOf(host)
  host.write('first words\n')
  await host.line(/nobody is here/)
  await using guest = chat(invite)
  await guest.line(/^host: first words$/)
})

test('--key keeps the identity; an unusable file is refused, saying why', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'glueberry-'))
  const ids: string[] = []
  for (let i = 0; i < 2; i++) {
    await using child = chat('--key', join(folder, 'key'))
    ids.push((await child.line(/^You are (.*)$/))[1] as string)
    child.process.stdin.end()
    await child.ended
  }
  expect(ids[0]).toBe(ids[1])
  await using child = chat('--key', folder)
  expect(await child.ended).toBe(1)
  expect(child.errorLines.join('\n')).toMatch(/cannot start: the identity file/)
  await rm(folder, { recursive: true })
})

test('three in one chat: everyone hears everyone who is connected to them', async () => {
  await using both = await two()
  await using third = chat('--name', 'third', both.invite)
  await both.host.line(/third is here/)
  both.host.write('to all\n')
  await Promise.all([both.guest.line(/^host: to all$/), third.line(/^host: to all$/)])
  await eventually(() => both.host.lines.length === 0)
})
