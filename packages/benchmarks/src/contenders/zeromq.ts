import type { Pull, Router } from 'zeromq'
import type { Contender, EndpointOptions, Link } from '../contender.ts'
import { Missing } from '../contender.ts'

type Send = (data: Uint8Array, name: number) => Promise<void>

/** Bytes that may wait in its queue. */
const QUEUE = 16 * 1024 * 1024

/** A socket takes one `send` at a time: who has several senders makes them queue. */
function inTurn(send: Send): Send {
  let last: Promise<void> | undefined
  return (data, name) => {
    const sent = last === undefined ? send(data, name) : last.then(() => send(data, name))
    last = sent
    void sent.then(() => {
      if (last === sent) last = undefined
    })
    return sent
  }
}

/** Passes on what a router gets, with a way back to whoever sent it. */
async function route(router: Router, named: boolean, receive: EndpointOptions['receive']): Promise<void> {
  const links = new Map<string, Link>()
  for await (const [identity, ...frames] of router) {
    const id = (identity as Buffer).toString('latin1')
    let link = links.get(id)
    if (link === undefined) {
      const to = [identity as Buffer]
      link = { send: inTurn((data, name) => router.send(named ? [...to, `n${name}`, data] : [...to, data])) }
      links.set(id, link)
    }
    receive(frames.at(-1) as Buffer, link)
  }
}

async function pull(socket: Pull, receive: EndpointOptions['receive']): Promise<void> {
  const nobody: Link = { send: () => undefined }
  for await (const frames of socket) receive(frames.at(-1) as Buffer, nobody)
}

/** zeromq.js with CURVE: PUSH and PULL, and DEALER and ROUTER where both sides send. */
export const zeromq: Contender = {
  async open({ size, names, duplex, receive }: EndpointOptions) {
    const zmq = await import('zeromq').catch((error) => {
      throw new Missing(`zeromq has no binary for this machine: ${error.message}`)
    })
    if (!zmq.capability.curve) throw new Missing('this zeromq was built without CURVE')
    const own = zmq.curveKeyPair()
    const open: { close(): void }[] = []
    const named = names > 1

    // What waits in its queue is not copied, and the default of a thousand large messages would be a gigabyte.
    const sending = { linger: 0, sendHighWaterMark: Math.max(16, Math.min(1000, QUEUE / size)) }
    const curveServer = { curveServer: true, curveSecretKey: own.secretKey }
    const server = duplex ? new zmq.Router({ ...sending, ...curveServer }) : new zmq.Pull({ linger: 0, ...curveServer })
    await server.bind('tcp://127.0.0.1:*')
    open.push(server)
    void (server instanceof zmq.Router ? route(server, named, receive) : pull(server, receive))
    return {
      address: JSON.stringify({ address: server.lastEndpoint, key: own.publicKey }),
      async connect(text) {
        const to = JSON.parse(text) as { address: string; key: string }
        const keys = zmq.curveKeyPair()
        const options = {
          curveServerKey: to.key,
          curvePublicKey: keys.publicKey,
          curveSecretKey: keys.secretKey,
          ...sending,
        }
        const socket = duplex ? new zmq.Dealer(options) : new zmq.Push(options)
        socket.connect(to.address)
        open.push(socket)
        const send: Send = (data, name) => socket.send(named ? [`n${name}`, data] : data)
        const link: Link = { send: duplex || named ? inTurn(send) : send }
        if (socket instanceof zmq.Dealer) {
          void (async () => {
            for await (const frames of socket) receive(frames.at(-1) as Buffer, link)
          })()
        }
        return link
      },
      async close() {
        for (const socket of open) socket.close()
      },
    }
  },
}
