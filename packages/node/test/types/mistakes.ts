// Type-checked with everything else, never run: mistakes that must not compile, and what must.
import {
  GlueberryError,
  type HandshakePeer,
  Identity,
  type Message,
  Node,
  type NodeEvent,
  type PeerId,
  parsePeerId,
} from '@glueberry/node'

const identity = Identity.generate()
const node = new Node({ identity, streams: ['chat', 'files'] })
const peer: PeerId = parsePeerId('12D3')

// Names are known.
void node.send(peer, 'chat', 'x')
// @ts-expect-error a name that is not one of them
void node.send(peer, 'chta', 'x')
// @ts-expect-error nobody can take what is not accepted
node.messages('nope')
// @ts-expect-error nor handle it
node.handle(['chat', 'nope'], () => {})

// A peer is no bare text, and no message is.
// @ts-expect-error raw text enters through parsePeerId and connect
void node.send('12D3', 'chat', 'x')
// @ts-expect-error swapped
void node.send('chat', peer, 'x')
// @ts-expect-error a number is no message
void node.send(peer, 'chat', 5)
void node.connect('12D3')

// A message knows its stream.
node.handle('chat', (message) => {
  const stream: 'chat' = message.stream
  // @ts-expect-error another one
  const other: 'files' = message.stream
  // @ts-expect-error messages are read, not written
  message.sequence = 5
  return [stream, other]
})

// A handshake decides.
new Node({ identity, streams: [], handshake: async (p) => p.accept() })
// @ts-expect-error a boolean is no decision
new Node({ identity, streams: [], handshake: async () => true })
// @ts-expect-error nor is an object that looks like one
new Node({ identity, streams: [], handshake: async () => ({}) })
// @ts-expect-error nor is nothing
new Node({ identity, streams: [], handshake: async (p: HandshakePeer) => void (await p.send('x')) })

// What is sent on may be other names than those that are accepted.
const worker = new Node<'jobs', 'results'>({ identity, streams: ['jobs'] })
void worker.send(peer, 'results', 'x')
// @ts-expect-error it accepts that, and does not send on it
void worker.send(peer, 'jobs', 'x')
// @ts-expect-error it sends on that, and does not accept it
worker.messages('results')
const wider = node.addStream('later')
void wider.send(peer, 'later', 'x')
void wider.messages('later').close()
// @ts-expect-error the one before does not know the name
node.messages('later')
void node.send(peer, 'chat', 'x').then((sequence: number) => sequence)

// Absence may be said by undefined, everywhere.
new Node({
  identity,
  streams: [],
  listen: undefined,
  flow: { window: undefined },
  logger: undefined,
  reconnect: undefined,
})
void node.drain({ timeout: undefined, signal: undefined })
node.handle('chat', () => {}, { retries: undefined, concurrency: undefined })

// Options and identities.
// @ts-expect-error a typo
new Node({ identity, streams: [], timeout: {} })
// @ts-expect-error an identity is made by its own functions
new Identity()
// @ts-expect-error no identity
new Node({ streams: ['x'] })

// Events and errors are closed unions.
node.on('disconnected', (event) => event.reason.kind)
// @ts-expect-error a typo
node.on('disconected', () => {})
export function text(event: NodeEvent): string {
  switch (event.type) {
    case 'closed':
      return event.reason
    // @ts-expect-error no such event
    case 'close':
      return ''
    default:
      return event.type
  }
}
export function retry(error: unknown): boolean {
  if (GlueberryError.is(error, 'BUSY', 'COOLDOWN')) {
    const code: 'BUSY' | 'COOLDOWN' = error.code
    return code === 'BUSY'
  }
  return false
}

// A node of some names fits where any node is taken.
export const id = (any: Node): PeerId => any.peerId
id(node)
export type Handler = (message: Message<'chat' | 'files'>) => void
