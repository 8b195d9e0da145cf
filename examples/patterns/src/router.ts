// Router: one handler for each stream name, in one table that the compiler holds against the node's names.
import type { Message, Node } from '@glueberry/node'
import { printable } from '@glueberry/terminal'
import { startNode } from './nodes.ts'

type Routes<S extends string> = { readonly [K in S]: (message: Message<K>) => unknown }

/** Each name has its own handler: one that is slow holds up no other. */
function route<S extends string>(node: Node<S>, routes: Routes<S>): void {
  for (const name of Object.keys(routes) as S[]) node.handle(name, routes[name] as (message: Message<S>) => unknown)
}

const server = await startNode(['greet', 'add'])
route(server, {
  greet: (message) => console.log(`hello, ${printable(message.text())}`),
  add: (message) => {
    const numbers = message.text().split('+').map(Number)
    console.log(`${printable(message.text())} = ${numbers.reduce((sum, number) => sum + number, 0)}`)
  },
})

const client = await startNode(['greet', 'add'])
const peer = await client.connect(server.addrs)
await client.send(peer, 'greet', 'world', { confirm: true }) // handled, before the next one is sent on another name
await client.send(peer, 'add', '1+2+3')
await client.drain()
await server.stop()
