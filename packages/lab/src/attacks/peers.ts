import { randomBytes } from 'node:crypto'
import { Identity, Node } from '@glueberry/node'
import { RawPeer } from '@glueberry/testkit'
import { type ControlMessage, encodeOpen, FrameBuffer, FrameType } from '@glueberry/wire'
import type { Target } from '../target.ts'
import { within } from '../within.ts'

/** What a peer does whose identity is proven and who was let in. */
export interface PeerAttack {
  readonly name: string
  /**
   * What must come of it: the session ends with GOODBYE protocol; connections are closed; the node keeps what it must, and
   * no more; or nothing, but for a stranger's dial, which goes through as ever.
   */
  readonly outcome: 'protocol' | 'closed' | 'slowed' | 'harmless'
  run(peer: RawPeer, target: Target): Promise<void>
}

/** Peers that make what is established for others dear: how many, at once. */
const MANY = 6

/** Resolves when the node has closed the connection, and has said why if it can. */
export async function ended(peer: RawPeer, outcome: 'protocol' | 'closed'): Promise<void> {
  const gone = new Promise<void>((resolve) => peer.link.onClose(() => resolve()))
  await within(PATIENCE, 'the session lives', gone)
  if (outcome === 'protocol' && peer.goodbye !== 'protocol') throw new Error(`it ended with ${peer.goodbye}`)
}

/** By then the node has ended the session, in milliseconds. */
const PATIENCE = 60_000
const FLOOD = 50_000
/** Sessions of one peer; how many of them a node lets in at once, and in each second after that (docs/protocol.md). */
const [SESSIONS, AT_ONCE, ALLOWED] = [1000, 400, 110]

const open = (firstSequence = 1): Uint8Array => encodeOpen({ name: 'x', firstSequence, redeliveredThrough: 0 })

function message(size: number): Uint8Array {
  const frames = new FrameBuffer(size + 16)
  frames.append(FrameType.MESSAGE, new Uint8Array(size))
  return frames.bytes
}

/** Says the same again and again, until the node has had enough. */
function floods(name: string, what: Exclude<ControlMessage, { type: 'unknown' }>): PeerAttack {
  return {
    name: `floods ${name}`,
    outcome: 'protocol',
    async run(peer, target) {
      await peer.establish(target)
      for (let i = 0; i < FLOOD && peer.goodbye === undefined; i++) {
        peer.channel.send(what)
        if (i % 100 === 0) await turn()
      }
    },
  }
}

/** Breaks one rule, once established. */
function breaks(name: string, how: (peer: RawPeer) => Promise<void> | void): PeerAttack {
  return {
    name,
    outcome: 'protocol',
    async run(peer, target) {
      await peer.establish(target)
      await how(peer)
    },
  }
}

export const PEER_ATTACKS: readonly PeerAttack[] = [
  {
    name: 'ignores the window',
    // What it sends at once may also pass what yamux may have in a frame: then the connection ends without a word.
    outcome: 'closed',
    async run(peer, target) {
      await peer.establish(target)
      const { stream, send } = await peer.dataStream()
      send(open())
      try {
        for (let i = 0; i < 2000 && peer.goodbye === undefined; i++) {
          send(message(60_000))
          if (i % 50 === 49) await Promise.race([stream.writable(), peer.stream.received.over])
        }
      } catch {
        // the stream is reset
      }
    },
  },
  breaks('acknowledges what was not sent', (peer) =>
    peer.channel.send({ type: 'ack', acknowledgements: [{ name: 'x', consumed: 2 ** 53 - 1, limit: 2 ** 53 - 1 }] }),
  ),
  floods('PING', { type: 'ping', number: 1 }),
  floods('PONG', { type: 'pong', number: 1 }),
  floods('STREAMS', { type: 'streams', names: ['x'] }),
  floods('RENEW', { type: 'renew' }),
  floods('WANT', { type: 'want', name: 'x', limit: 1000 }),
  floods('RETURN', { type: 'return', name: 'x', returned: 0 }),
  breaks('returns credit that it does not have', (peer) =>
    peer.channel.send({ type: 'return', name: 'x', returned: 1 }),
  ),
  breaks('asks for credit of a name that is not accepted', (peer) =>
    peer.channel.send({ type: 'want', name: 'unknown', limit: 1 }),
  ),
  {
    name: 'asks for all credit, uses none and returns none',
    outcome: 'harmless',
    async run(_, target) {
      await many(async (peer) => {
        await peer.establish(target)
        for (let limit = 1; limit < 2 ** 40; limit *= 2) {
          peer.channel.send({ type: 'want', name: 'x', limit })
          await turn()
        }
      })
    },
  },
  {
    name: 'floods HANDSHAKE before READY',
    outcome: 'protocol',
    async run(peer, target) {
      await peer.handshake(target)
      peer.setup()
      void peer.listen()
      for (let i = 0; i < FLOOD && peer.goodbye === undefined; i++) {
        peer.channel.send({ type: 'handshake', data: new Uint8Array(1000) })
        if (i % 100 === 0) await turn()
      }
    },
  },
  breaks('sends HANDSHAKE after READY', (peer) => peer.channel.send({ type: 'handshake', data: new Uint8Array(1000) })),
  {
    name: 'opens 10,000 streams',
    outcome: 'closed',
    async run(peer, target) {
      await peer.establish(target)
      for (let i = 0; i < 10_000 && peer.link.open; i += 50) {
        await Promise.all(
          Array.from({ length: 50 }, async () => {
            const stream = await peer.bareStream()
            stream.send([randomBytes(10)])
            await stream.closeWrite()
            await stream.received.over
          }),
        ).catch(() => {}) // ended
      }
    },
  },
  {
    name: 'comes as another instance for ever',
    outcome: 'closed',
    async run(peer, target) {
      const begun = performance.now()
      for (let i = 0; i < SESSIONS; i++) {
        const instance = randomBytes(16)
        if (!(await came(peer.establish(target, {}, { instance }), peer))) return
      }
      const perSecond = (SESSIONS - AT_ONCE) / ((performance.now() - begun) / 1000)
      if (perSecond > ALLOWED) throw new Error(`${perSecond.toFixed(0)} sessions a second were let in`)
      peer.link.abort(new Error('this machine is too busy to begin more than the node allows'))
    },
  },
  {
    name: 'renews its keys for ever',
    outcome: 'closed',
    async run(peer, target) {
      await peer.establish(target)
      for (let i = 0; i < 500; i++) {
        if (
          !(await came(
            peer.renew(target).then(() => peer.makeReady()),
            peer,
          ))
        )
          return
      }
    },
  },
  breaks('counts to 2^53', async (peer) => {
    const { send } = await peer.dataStream()
    send(open(2 ** 53 - 1), message(1), message(1), message(1))
  }),
  breaks('opens a stream with a name of 60,000 bytes', async (peer) => {
    const name = new Uint8Array(60_000).fill(0x61)
    const { send } = await peer.dataStream()
    send(Uint8Array.from([open()[0] as number, 0xe0, 0xd4, 0x03, ...name, 1, 0]))
  }),
  breaks('accepts 65 names', (peer) =>
    peer.channel.send({ type: 'streams', names: Array.from({ length: 64 }, (_, i) => `${i}`.padEnd(64, 'n')) }),
  ),
  breaks('sends a record in pieces of 20 bytes', async (peer) => {
    const { stream, send } = await peer.dataStream()
    send(open())
    stream.send([Uint8Array.of(0xff, 0xe1)])
    try {
      // One byte more than the record has: it is cut off on its way, or does not open.
      for (let i = 0; i < 3280 && peer.goodbye === undefined; i++) {
        stream.send([new Uint8Array(20)])
        if (i % 20 === 0) await turn()
      }
    } catch {
      // the stream is reset
    }
  }),
  breaks('opens more streams than there are names', async (peer) => {
    for (let i = 0; i < 140 && peer.goodbye === undefined; i++) await peer.dataStream().catch(() => {})
  }),
  {
    name: 'withholds READY, and sends what it may',
    outcome: 'harmless',
    async run(_, target) {
      await many(async (peer) => {
        await peer.handshake(target)
        await sendUnready(peer)
      })
    },
  },
  {
    name: 'renews, withholds READY, and sends what it may',
    outcome: 'harmless',
    async run(_, target) {
      await many(async (peer) => {
        await peer.establish(target)
        await peer.renew(target)
        await sendUnready(peer)
      })
    },
  },
  {
    name: 'agrees on keys, and waits',
    outcome: 'harmless',
    async run(_, target) {
      await many(async (peer) => {
        await peer.handshake(target)
        peer.setup()
        await Promise.race([peer.listen(), pause()])
      })
    },
  },
  {
    name: 'says that two programs have this identity',
    outcome: 'harmless',
    async run(peer, target) {
      await peer.handshake(target)
      peer.channel.send({ type: 'refuse', code: 'identity-in-use', reason: '\u001b[2Jso they say' })
      await pause()
    },
  },
  {
    name: 'sends tiny messages as fast as it can, six times at once',
    outcome: 'harmless',
    async run(_, target) {
      const nodes = Array.from({ length: MANY }, () => new Node({ identity: Identity.generate(), streams: ['x'] }))
      try {
        await Promise.all(
          nodes.map(async (node) => {
            await node.start()
            const id = await node.connect([target.addrs[0] as string])
            for (let i = 0; i < 30_000; i++) await node.send(id, 'x', 'hello')
            await node.flush()
          }),
        )
      } finally {
        await Promise.all(nodes.map((node) => node.stop()))
      }
    },
  },
  {
    name: 'grants everything and never reads',
    outcome: 'slowed',
    async run(peer, target) {
      await peer.establish(target, { pool: 2 ** 53 - 1 }, { largestMessage: 1024 * 1024 })
    },
  },
]

/** Whether the node lets it go on: it may have no place for one more connection for a moment, and keep the one before. */
async function came(session: Promise<unknown>, peer: RawPeer): Promise<boolean> {
  try {
    await within(PATIENCE, 'a session', session)
    return peer.goodbye !== 'protocol'
  } catch {
    await new Promise((resolve) => setTimeout(resolve, 100))
    return peer.link.open
  }
}

/** The same by many peers at once, all of which stay until the last one has done it. */
async function many(attack: (peer: RawPeer) => Promise<void>): Promise<void> {
  const peers = Array.from({ length: MANY }, () => new RawPeer())
  try {
    // Some of them are cut off in the middle of it: that is for the node to decide.
    await Promise.allSettled(peers.map((peer) => attack(peer)))
  } finally {
    await Promise.all(peers.map((peer) => peer[Symbol.asyncDispose]()))
  }
}

/** Says SETUP, never READY, and sends what the node's own READY allows, if that has come: the node may be the one that decides. */
async function sendUnready(peer: RawPeer): Promise<void> {
  peer.setup()
  await Promise.race([peer.listen(), pause()])
  const { stream, send } = await peer.dataStream()
  send(open())
  for (let i = 0; i < 15; i++) send(message(60_000))
  await Promise.race([stream.writable(), pause()])
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 200))
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
