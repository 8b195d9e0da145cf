import { Identity, Node, type PeerId } from '@glueberry/node'
import { type Contender, type Endpoint, type EndpointOptions, type Link, streamNames } from '../contender.ts'

async function open(options: EndpointOptions, form: 'messages' | 'handle'): Promise<Endpoint> {
  const names = streamNames(options.names)
  const node = new Node({
    identity: Identity.generate(),
    listen: ['/ip4/127.0.0.1/tcp/0'],
    streams: names,
    limits: { connections: 4096, pendingPerAddress: 4096, pendingConnections: 4096 },
    // The default, 512 MiB, promises each of 500 peers one largest message; more peers need more.
    ...(options.peers > 400 ? { flow: { nodeBudget: options.peers * 2 * 1024 * 1024 } } : {}),
  })
  const links = new Map<PeerId, Link>()
  const linkTo = (peer: PeerId): Link => {
    let link = links.get(peer)
    if (link === undefined) {
      link = { send: (data, name) => node.send(peer, names[name] as string, data) }
      links.set(peer, link)
    }
    return link
  }
  if (form === 'handle') {
    node.handle(names, (message) => options.receive(message.data, linkTo(message.peerId)))
  } else {
    for (const [i, name] of names.entries()) {
      if (i === options.unread) continue
      void (async () => {
        for await (const message of node.messages(name)) {
          options.receive(message.data, linkTo(message.peerId))
          const wait = options.pace()
          if (wait !== undefined) await wait
        }
      })()
    }
  }
  await node.start()
  return {
    address: node.addrs[0] as string,
    connect: async (address) => linkTo(await node.connect(address)),
    close: () => node.stop(),
  }
}

/** This library, read with `for await (… of node.messages(…))`. */
export const pulled: Contender = { open: (options) => open(options, 'messages') }

/** This library, read with `node.handle(…)`. */
export const handled: Contender = { open: (options) => open(options, 'handle') }
