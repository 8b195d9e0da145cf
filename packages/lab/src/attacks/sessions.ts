import { RawPeer } from '@glueberry/testkit'
import { ByteQueue, encodeControl, encodeOpen, FrameBuffer, FrameType, takeHandshakeMessage } from '@glueberry/wire'
import type { Target } from '../target.ts'
import { within } from '../within.ts'
import { type Attack, between, mutated, type Random, randomBytes, truncated } from './attack.ts'

/** By then the node has ended what it was sent garbage on, in milliseconds. */
const PATIENCE = 60_000
/** So many sessions of one identity: an honest peer does not begin more within a minute either. */
const SESSIONS_EACH = 40
/** What every message says that must not be accepted. */
const FORGED = Buffer.from('forged')
const STRAYS = 20

/** An attack by a peer that is not under way. Resolves with the number of hostile inputs. */
interface PeerAttack {
  readonly weight: number
  readonly name: string
  run(peer: RawPeer, random: Random): Promise<number>
}

/** How a record, or a message of the handshake, is not as it was sent. */
const TAMPERINGS = {
  mutated: (random: Random, record: Uint8Array) => mutated(random, record),
  garbage: (random: Random) => framed(randomBytes(random, between(random, 16, 200))),
  truncated: (random: Random, record: Uint8Array) => truncated(random, record),
} as const

/** Attacks of peers that libp2p knows, on a session at each of its steps, and on its data streams. */
export class SessionAttacks implements AsyncDisposable {
  readonly #target: Target
  /** Peers that are not under way, and how many sessions each has had. */
  readonly #idle: { readonly peer: RawPeer; sessions: number }[] = []

  constructor(target: Target) {
    this.#target = target
  }

  get all(): Attack[] {
    return [
      ...tamperings(this.#target),
      ...misplacedControl(this.#target),
      ...misplacedData(this.#target),
      ...strays(this.#target),
    ].map(({ weight, name, run }) => ({
      step: name.includes('no session') ? 'on stray streams' : 'on a session',
      name,
      weight,
      run: (random) => this.#withPeer((peer) => run(peer, random)),
    }))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#idle.map(({ peer }) => peer[Symbol.asyncDispose]()))
  }

  async #withPeer(run: (peer: RawPeer) => Promise<number>): Promise<number> {
    const entry = this.#idle.pop() ?? { peer: new RawPeer(), sessions: 0 }
    const { peer } = entry
    peer.tap = undefined
    let inputs: number
    try {
      inputs = await run(peer)
    } catch (error) {
      await peer[Symbol.asyncDispose]() // a host that is left would keep this process alive
      throw error
    }
    entry.sessions++
    if (entry.sessions < SESSIONS_EACH) this.#idle.push(entry)
    else await peer[Symbol.asyncDispose]()
    return inputs
  }
}

const open = encodeOpen({ name: 'x', firstSequence: 1, redeliveredThrough: 0 })
const frames = new FrameBuffer(64)
frames.append(FrameType.MESSAGE, FORGED)
const forged = frames.bytes

/** Brings a session to a step; what it returns says one more thing, which an honest peer may say there. */
const STEPS: Readonly<Record<string, (peer: RawPeer, target: Target) => Promise<() => void>>> = {
  'instead of SETUP': async (peer, target) => {
    await peer.handshake(target)
    void peer.listen()
    return () => peer.setup()
  },
  'instead of READY': async (peer, target) => {
    await peer.handshake(target)
    void peer.listen()
    peer.setup()
    return () => peer.ready()
  },
  'once established': async (peer, target) => {
    await peer.establish(target)
    return () => peer.channel.send({ type: 'ping', number: 1 })
  },
}

/** Records that are not as they were sealed, at each step. */
function* tamperings(target: Target): Generator<PeerAttack> {
  for (const [name, tamper] of Object.entries(TAMPERINGS)) {
    yield {
      weight: 1,
      name: `message 1 of the handshake: ${name}`,
      run: async (peer, random) => {
        await peer.connect(target)
        peer.tap = ([message = new Uint8Array()]) => [tamper(random, message)]
        peer.handshakeOn(target).catch(() => {}) // there will be no answer
        await broken(peer)
        return 1
      },
    }
    for (const [step, begin] of Object.entries(STEPS)) {
      yield {
        weight: 1,
        name: `a control record ${step}: ${name}`,
        run: async (peer, random) => {
          const say = await begin(peer, target)
          peer.tap = (pieces) => [tamper(random, Buffer.concat(pieces))]
          say()
          await broken(peer)
          return 1
        },
      }
    }
    yield {
      weight: 2,
      name: `a data record: ${name}`,
      run: async (peer, random) => {
        await peer.establish(target)
        const { stream, sealer } = await peer.dataStream()
        stream.send([tamper(random, Buffer.concat(sealer.seal([open, forged])))])
        await broken(peer, () => stream.closeWrite())
        return 1
      },
    }
  }
}

/** Records of the control stream that were sealed, and come where they must not. */
function* misplacedControl(target: Target): Generator<PeerAttack> {
  for (const [step, begin] of Object.entries(STEPS)) {
    yield {
      weight: 1,
      name: `a control record ${step}: replayed`,
      run: async (peer) => {
        const say = await begin(peer, target)
        peer.tap = (pieces) => [...pieces, ...pieces].map((piece) => piece.slice())
        say()
        await refused(peer)
        return 1
      },
    }
    yield {
      weight: 1,
      name: `control records ${step}: reordered`,
      run: async (peer) => {
        const say = await begin(peer, target)
        let first: Uint8Array | undefined
        peer.tap = (pieces) => {
          const record = Buffer.concat(pieces)
          if (first !== undefined) return [record, first]
          first = record
          return []
        }
        say()
        say()
        await refused(peer)
        return 1
      },
    }
    yield {
      weight: 1,
      name: `a control record ${step}: reflected`,
      run: async (peer) => {
        await begin(peer, target)
        peer.stream.send([await ownRecords(peer)])
        await refused(peer)
        return 1
      },
    }
  }
  yield {
    weight: 1,
    name: 'a control message under its proper key: garbage',
    run: async (peer, random) => {
      await peer.establish(target)
      const plaintext = encodeControl({ type: 'ack', acknowledgements: [{ name: 'x', consumed: 1, limit: 1 }] })
      peer.sendPlain(random() < 0.5 ? mutated(random, plaintext) : randomBytes(random, between(random, 1, 80)))
      peer.sendPlain(Uint8Array.of(0xff)) // the other may have been one that is ignored
      await refused(peer)
      return 2
    },
  }
}

/** The same of data streams. */
function* misplacedData(target: Target): Generator<PeerAttack> {
  yield {
    weight: 2,
    name: 'a data record: replayed',
    run: async (peer) => {
      await peer.establish(target)
      const { stream, sealer } = await peer.dataStream()
      const record = Buffer.concat(sealer.seal([open]))
      stream.send([record.subarray(), Buffer.from(record)])
      await refused(peer)
      return 1
    },
  }
  yield {
    weight: 2,
    name: 'data records: reordered',
    run: async (peer) => {
      await peer.establish(target)
      const { stream, sealer } = await peer.dataStream()
      const [first, second] = [sealer.seal([open]), sealer.seal([forged])].map((pieces) => Buffer.concat(pieces))
      stream.send([second as Buffer, first as Buffer])
      await refused(peer)
      return 1
    },
  }
  yield {
    weight: 2,
    name: 'a data record: of another stream',
    run: async (peer) => {
      await peer.establish(target)
      const [one, two] = [await peer.dataStream(), await peer.dataStream()]
      two.stream.send([Buffer.concat(one.sealer.seal([open, forged]))])
      await refused(peer)
      return 1
    },
  }
  yield {
    weight: 2,
    name: 'a data record: reflected',
    run: async (peer) => {
      await peer.establish(target)
      const { stream } = await peer.dataStream()
      stream.send([await ownRecords(peer)])
      await refused(peer)
      return 1
    },
  }
}

/** Data streams that belong to no session. */
function* strays(target: Target): Generator<PeerAttack> {
  yield {
    weight: 10,
    name: 'data streams that belong to no session',
    run: async (peer, random) => {
      await peer.establish(target)
      await Promise.all(
        Array.from({ length: STRAYS }, async () => {
          const stream = await peer.bareStream()
          try {
            stream.send([randomBytes(random, between(random, 10, 100))])
            await stream.closeWrite()
          } catch {
            // reset before a byte of it: there are more of them than names
          }
          await within(PATIENCE, 'a stray stream', stream.received.over)
        }),
      )
      peer.link.abort(new Error('enough'))
      return STRAYS
    },
  }
}

/** Resolves when the node has ended the session and said that the protocol was broken: the input was complete, and not accepted. */
async function refused(peer: RawPeer): Promise<void> {
  const said = async (): Promise<void> => {
    while (peer.goodbye === undefined && peer.link.open) await new Promise((resolve) => setImmediate(resolve))
  }
  await within(PATIENCE, 'the session lives', said())
  if (peer.goodbye !== 'protocol') throw new Error(`the session ended with ${peer.goodbye ?? 'no goodbye'}`)
  peer.link.abort(new Error('enough'))
}

/** Resolves when the node has ended the session. What is only the beginning of a record needs the end of its stream first. */
async function broken(peer: RawPeer, end: () => Promise<void> = () => peer.stream.closeWrite()): Promise<void> {
  const gone = new Promise<void>((resolve) => peer.link.onClose(() => resolve()))
  void end().catch(() => {})
  await within(PATIENCE, 'the session lives', Promise.race([gone, peer.stream.received.over]))
  peer.link.abort(new Error('enough'))
}

/** Bytes with a proper length before them. */
function framed(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return Uint8Array.from([bytes.length >> 8, bytes.length & 255, ...bytes])
}

/** Records that the node itself has sealed: what it has sent behind its message of the handshake. */
async function ownRecords(peer: RawPeer): Promise<Uint8Array> {
  for (;;) {
    const queue = new ByteQueue()
    for (const chunk of peer.seen) queue.push(chunk)
    if (takeHandshakeMessage(queue) !== undefined && queue.length > 0) return queue.take(queue.length)
    await new Promise((resolve) => setImmediate(resolve))
  }
}
