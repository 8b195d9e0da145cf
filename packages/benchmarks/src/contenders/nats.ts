import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import { certificate } from '../certificate.ts'
import { type Contender, type EndpointOptions, type Link, Missing } from '../contender.ts'

/** `publish` has no back-pressure of its own: so much is published before the server is asked whether it has it. */
const UNFLUSHED = 4 * 1024 * 1024

/** Subjects of the accepting program begin with it. */
const ACCEPTING = 'accepting'

/** nats.js with TLS, through a real nats-server that the accepting program starts. */
export const nats: Contender = {
  async open({ names, listens, receive }: EndpointOptions) {
    const server = listens ? await Server.start() : undefined
    const connections: NatsConnection[] = []
    const attach = async (at: { port: number; cert: string }, own: string): Promise<NatsConnection> => {
      const connection = await connect({ servers: `127.0.0.1:${at.port}`, tls: { ca: at.cert } })
      connections.push(connection)
      const back = new Map<string | undefined, Link>()
      const linkBack = (subject: string | undefined): Link => {
        let link = back.get(subject)
        if (link === undefined) {
          link = linkTo(connection, subject ?? 'nobody')
          back.set(subject, link)
        }
        return link
      }
      for (let i = 0; i < names; i++) {
        const subscription = connection.subscribe(`${own}.n${i}`)
        void (async () => {
          for await (const message of subscription) {
            receive(message.data, linkBack(message.reply))
          }
        })()
      }
      await connection.flush()
      return connection
    }
    if (server !== undefined) await attach(server, ACCEPTING)
    return {
      address: JSON.stringify({ port: server?.port, cert: server?.cert }),
      async connect(text) {
        const at = JSON.parse(text) as { port: number; cert: string }
        const own = `c${connections.length}-${process.pid}`
        return linkTo(await attach(at, own), ACCEPTING, own)
      },
      async close() {
        await Promise.all(connections.map((each) => each.close()))
        await server?.close()
      },
    }
  },
}

function linkTo(connection: NatsConnection, subject: string, reply?: string): Link {
  let unflushed = 0
  let flushed: Promise<void> = Promise.resolve()
  return {
    send(data, name) {
      connection.publish(`${subject}.n${name}`, data, reply === undefined ? {} : { reply })
      unflushed += data.length
      if (unflushed < UNFLUSHED) return undefined
      unflushed = 0
      const before = flushed
      flushed = connection.flush()
      return before // one flush is under way while the next part is published
    },
  }
}

/** A nats-server on a free port of 127.0.0.1. */
class Server {
  readonly port: number
  readonly cert: string
  readonly #process: ChildProcess
  readonly #directory: string

  private constructor(port: number, cert: string, process: ChildProcess, directory: string) {
    this.port = port
    this.cert = cert
    this.#process = process
    this.#directory = directory
  }

  static async start(): Promise<Server> {
    const directory = await mkdtemp(join(tmpdir(), 'glueberry-nats-'))
    const { cert, key } = await certificate()
    const port = await freePort()
    const file = (name: string): string => join(directory, name)
    await writeFile(file('cert.pem'), cert)
    await writeFile(file('key.pem'), key, { mode: 0o600 })
    // What waits for a slow subscriber may be more than the usual 64 MiB: losing it is not what is measured.
    const config = `host: 127.0.0.1\nport: ${port}\nmax_pending: 1GB\ntls { cert_file: "${file('cert.pem')}", key_file: "${file('key.pem')}" }\n`
    await writeFile(file('nats.conf'), config)
    const child = spawn('nats-server', ['-c', file('nats.conf')], { stdio: ['ignore', 'ignore', 'pipe'] })
    let log = ''
    try {
      await new Promise<void>((resolve, reject) => {
        child.on('error', () =>
          reject(new Missing('nats-server is not installed (Debian: apt-get install nats-server)')),
        )
        child.on('exit', (code) => reject(new Error(`nats-server ended with ${code}: ${log}`)))
        child.stderr?.on('data', (text) => {
          log += text
          if (log.includes('Server is ready')) resolve()
        })
      })
    } catch (error) {
      await rm(directory, { recursive: true })
      throw error
    }
    process.on('exit', () => child.kill()) // however this program ends, its server does not stay
    return new Server(port, cert, child, directory)
  }

  async close(): Promise<void> {
    this.#process.kill()
    if (this.#process.exitCode === null) await once(this.#process, 'exit')
    await rm(this.#directory, { recursive: true })
  }
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as { port: number }
  probe.close()
  await once(probe, 'close')
  return port
}
