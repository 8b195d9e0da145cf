import { once } from 'node:events'
import { type AddressInfo, createServer, connect as dial, type Server, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { expect, test } from 'vitest'
import { AddressPool, Reconnector, type ReconnectorState } from '../src/index.ts'

// A list of message servers, as a NATS client has it: a line protocol over TCP, a password, servers that come and go.

interface MessageServer {
  readonly url: string
  readonly server: Server
  readonly sockets: Set<Socket>
  logins: number
  stop(): Promise<void>
}

async function startServer(password: string): Promise<MessageServer> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    createInterface({ input: socket }).on('line', (line) => {
      if (!line.startsWith('CONNECT ')) return
      started.logins++
      if (line === `CONNECT ${password}`) socket.write('+OK\n')
      else socket.end('-ERR authorization violation\n')
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const started: MessageServer = {
    url: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    server,
    sockets,
    logins: 0,
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve))
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
  return started
}

/** A client: dials, logs in, and reports when its line breaks. */
function client(urls: readonly string[], password: string, backoff = { baseDelay: 1, maxDelay: 5 }) {
  const states: ReconnectorState<Socket>[] = []
  const pool = new AddressPool(urls)
  const reconnector: Reconnector<string, Socket> = new Reconnector<string, Socket>({
    pool,
    random: Math.random,
    backoff,
    clock: {
      setTimer(task, delay) {
        const timer = setTimeout(task, delay)
        return { cancel: () => clearTimeout(timer) }
      },
    },
    async attempt(url, signal) {
      const [host, port] = url.split(':') as [string, string]
      const socket = dial({ host, port: Number(port), signal })
      await once(socket, 'connect', { signal })
      socket.write(`CONNECT ${password}\n`)
      const [data] = (await once(socket, 'data', { signal })) as [Buffer]
      if (!String(data).startsWith('+OK')) {
        socket.destroy()
        throw new Error(String(data).trim())
      }
      socket.on('error', () => {})
      socket.once('close', () => reconnector.lost(socket, new Error('the line broke')))
      return socket
    },
    dispose: (socket) => void socket.destroy(),
    giveUp: (error, previous) =>
      error instanceof Error &&
      previous instanceof Error &&
      /^-ERR/.test(error.message) &&
      error.message === previous.message,
    onState: (state) => {
      states.push(state)
      if (state.name === 'up') reconnector.confirm(state.connection)
      for (const watcher of [...watchers]) watcher()
    },
  })
  const watchers = new Set<() => void>()
  const until = async (name: string): Promise<void> => {
    while (reconnector.state.name !== name) {
      await new Promise<void>((resolve) => {
        const watcher = (): void => {
          watchers.delete(watcher)
          resolve()
        }
        watchers.add(watcher)
      })
    }
  }
  return { reconnector, pool, states, until }
}

test('a client moves to another server when its own goes, and to one that is added while it looks', async () => {
  const [one, two] = [await startServer('secret'), await startServer('secret')]
  const { reconnector, pool, until, states } = client([one.url, two.url], 'secret')
  await reconnector.connect()
  expect([one.logins, two.logins]).toEqual([1, 0])
  await one.stop()
  while (two.logins === 0) await until('up').then(() => new Promise(setImmediate))
  await until('up')
  expect(pool.entries()).toMatchObject([{ failures: 1 }, { failures: 0 }])

  await two.stop()
  await until('waiting')
  const three = await startServer('secret')
  pool.add(three.url) // as a cluster tells of new members
  while (three.logins === 0) await new Promise(setImmediate)
  await until('up')
  expect(states.map(({ name }) => name)).toContain('waiting')
  await reconnector.close()
  await three.stop()
})

test('a password that is refused twice is not tried a third time', async () => {
  const server = await startServer('secret')
  const { reconnector, until } = client([server.url], 'wrong')
  reconnector.keep()
  await until('failed')
  expect(server.logins).toBe(2)
  await reconnector.close()
  await server.stop()
})
