import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect as connectTls, createServer, type TLSSocket } from 'node:tls'
import { certificate } from '../certificate.ts'
import type { Contender, EndpointOptions, Link } from '../contender.ts'
import { MessageCutter } from '../message-cutter.ts'

/** Messages are gathered until there are so many bytes, or the next turn of the event loop. */
const BATCH = 64 * 1024

function linkOver(socket: TLSSocket): Link {
  let batch = Buffer.allocUnsafe(BATCH)
  let filled = 0
  let scheduled = false
  const flush = (): boolean => {
    if (filled === 0 || socket.writableNeedDrain) return !socket.writableNeedDrain
    const full = batch.subarray(0, filled)
    batch = Buffer.allocUnsafe(BATCH)
    filled = 0
    return socket.write(full)
  }
  const drained = (): Promise<unknown> => new Promise((resolve) => socket.once('drain', resolve))
  return {
    send(data) {
      let goesOn = true
      if (filled + data.length > BATCH && !flush()) {
        if (filled > 0) return drained().then(() => this.send(data, 0)) // the batch is full, and must wait
        goesOn = false
      }
      if (data.length >= BATCH) {
        goesOn = socket.write(data)
      } else {
        batch.set(data, filled)
        filled += data.length
        if (!scheduled) {
          scheduled = true
          setImmediate(() => {
            scheduled = false
            if (!flush()) socket.once('drain', flush)
          })
        }
      }
      return goesOn ? undefined : drained()
    },
  }
}

/** TLS 1.3 with batches made by hand: no names, no acknowledgements, no reconnecting. The practical limit. */
export const tls: Contender = {
  async open({ size, listens, receive }: EndpointOptions) {
    const sockets = new Set<TLSSocket>()
    const attach = (socket: TLSSocket): Link => {
      socket.setNoDelay(true)
      socket.on('error', () => {}) // the other program ends first
      sockets.add(socket)
      const link = linkOver(socket)
      const cutter = new MessageCutter(size, (message) => receive(message, link))
      socket.on('data', (chunk) => cutter.push(chunk))
      return link
    }
    const { cert, key } = listens ? await certificate() : {}
    const server = createServer({ cert, key, minVersion: 'TLSv1.3' }, attach).listen(0, '127.0.0.1')
    await once(server, 'listening')
    return {
      address: JSON.stringify({ port: (server.address() as AddressInfo).port, cert }),
      async connect(text) {
        const { port, cert: ca } = JSON.parse(text) as { port: number; cert: string }
        const socket = connectTls({ host: '127.0.0.1', port, ca, servername: 'localhost', minVersion: 'TLSv1.3' })
        await once(socket, 'secureConnect')
        return attach(socket)
      },
      async close() {
        server.close()
        for (const socket of sockets) socket.destroy()
      },
    }
  },
}
