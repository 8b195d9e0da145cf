import { once } from 'node:events'
import { type AddressInfo, connect as connectSocket, createServer, type Socket } from 'node:net'
import SecretStream from '@hyperswarm/secret-stream'
import c from 'compact-encoding'
import Protomux, { type Message } from 'protomux'
import type { Contender, EndpointOptions, Link } from '../contender.ts'

/** hyperswarm's secret-stream and protomux, a channel for each name, over TCP as for everyone else. */
export const hyperswarm: Contender = {
  async open({ names, receive }: EndpointOptions) {
    const streams = new Set<SecretStream>()
    const attach = async (socket: Socket, initiator: boolean): Promise<Link> => {
      socket.setNoDelay(true)
      const stream = new SecretStream(initiator, socket)
      streams.add(stream)
      stream.on('error', () => {}) // the other program ends first
      const mux = new Protomux(stream)
      const messages: Message[] = []
      const link: Link = {
        send: (data, name) => {
          if ((messages[name] as Message).send(data)) return undefined
          return new Promise((resolve) => stream.once('drain', resolve))
        },
      }
      const opened: Promise<void>[] = []
      for (let i = 0; i < names; i++) {
        opened.push(
          new Promise((resolve) => {
            const channel = mux.createChannel({ protocol: `n${i}`, onopen: resolve })
            messages.push(channel.addMessage({ encoding: c.raw, onmessage: (data) => receive(data, link) }))
            channel.open()
          }),
        )
      }
      await Promise.all(opened)
      return link
    }
    const server = createServer((socket) => void attach(socket, false)).listen(0, '127.0.0.1')
    await once(server, 'listening')
    return {
      address: String((server.address() as AddressInfo).port),
      connect: (address) => attach(connectSocket(Number(address), '127.0.0.1'), true),
      async close() {
        server.close()
        for (const stream of streams) stream.destroy()
      },
    }
  },
}
