import { Identity, type Multiaddr, type PeerId } from '@glueberry/node'
import {
  controlCipher,
  dataCipher,
  encodeDataHeader,
  type GoodbyeReason,
  IdentityKeys,
  type Ready,
  RecordSealer,
  type SessionSecrets,
  type Setup,
} from '@glueberry/wire'
import { systemClock } from '../../node/src/clock.ts'
import { seedOf } from '../../node/src/identity.ts'
import { Libp2pHost } from '../../node/src/libp2p/host.ts'
import { silentLogger } from '../../node/src/observe/logger.ts'
import { ControlChannel } from '../../node/src/session/control-channel.ts'
import { agreeOnKeys } from '../../node/src/session/noise-handshake.ts'
import { ReceiveBuffer } from '../../node/src/transport/receive-buffer.ts'
import { RecordWatch } from '../../node/src/transport/records.ts'
import { type ByteStream, DATA_PROTOCOL, type Link, SESSION_PROTOCOL } from '../../node/src/transport/transport.ts'
import { eventually } from './eventually.ts'

/** What the node sends is not judged. */
export function unlimited(): RecordWatch {
  return new RecordWatch({
    clock: systemClock,
    timeout: 600_000,
    quietFor: () => 0,
    longest: () => 2 ** 16,
    late: () => {},
  })
}

/** A data stream of a raw peer, with its own key. */
export interface RawStream {
  readonly stream: ByteStream
  readonly sealer: RecordSealer
  send(...plaintexts: Uint8Array[]): void
}

/** A node to talk to, in this process or another. */
interface Target {
  readonly peerId: PeerId
  readonly addrs: readonly Multiaddr[]
}

/** A peer that knows the protocol and keeps to it only as far as a test wants. */
export class RawPeer implements AsyncDisposable {
  readonly identity: Identity
  readonly #host: Libp2pHost
  link!: Link
  channel!: ControlChannel
  stream!: ByteStream
  secrets!: SessionSecrets
  #streams = 0
  /** What was sent on the session's stream: the handshake's message, and records. */
  #sent = 0
  #started: Promise<void> | undefined

  constructor(identity: Identity = Identity.generate()) {
    this.identity = identity
    const privateKey = Uint8Array.from([...seedOf(this.identity), ...this.identity.publicKey])
    this.#host = new Libp2pHost({
      privateKey,
      peerId: this.identity.peerId,
      listen: [],
      dialTimeout: 30_000,
      unreadMax: 2 ** 24,
      clock: systemClock,
      logger: silentLogger,
      libp2p: {},
    })
  }

  /** A connection, and an open session stream with nothing on it; each call makes another. */
  async connect(node: Target): Promise<this> {
    await this.#start()
    const address = (node.addrs[0] as string).replace(/\/p2p\/.*/, '')
    this.link = await this.#host.dial(node.peerId, address, new AbortController().signal)
    await this.#openSession()
    return this
  }

  async #openSession(): Promise<void> {
    this.stream = this.#tapped(await this.link.openStream(SESSION_PROTOCOL, new AbortController().signal))
    this.channel = new ControlChannel(this.stream)
    this.seen.length = 0
    this.heard.length = 0
    this.limits.clear()
    this.goodbye = undefined
    this.#streams = 0
    this.#sent = 0
  }

  #start(): Promise<void> {
    const refuse = (): void => {}
    this.#started ??= this.#host.start({
      admit: () => undefined,
      admitsPeer: () => true,
      onSessionStream: refuse,
      onDataStream: refuse,
      onAddresses: refuse,
    })
    return this.#started
  }

  /** Keys agreed on, nothing said yet. */
  async handshake(node: Target): Promise<this> {
    await this.connect(node)
    return this.handshakeOn(node)
  }

  /** Fresh keys on the same connection: a new session stream. */
  async renew(node: Target): Promise<this> {
    const { id } = this.secrets
    await this.#openSession()
    return this.handshakeOn(node, id)
  }

  /** The same, on the session stream that is open. */
  async handshakeOn(node: Target, previousSessionId?: Uint8Array): Promise<this> {
    const seed = seedOf(this.identity)
    this.secrets = await agreeOnKeys(this.channel, 'outbound', {
      ...{
        identity: new IdentityKeys(seed),
        network: 'default',
        aes: true,
        peerId: node.peerId,
        previousSessionId,
      },
      refuses: () => undefined,
    })
    this.channel.secure(this.secrets)
    return this
  }

  setup(changes: Partial<Setup> = {}): void {
    this.channel.send({
      type: 'setup',
      instance: new Uint8Array(16).fill(1),
      ended: [],
      agent: 'raw',
      streams: ['x'],
      largestMessage: 1000,
      heartbeat: 3000,
      features: [],
      ...changes,
    })
  }

  ready(changes: Partial<Ready> = {}): void {
    this.channel.send({
      type: 'ready',
      memory: new Uint8Array(8),
      pool: 10_000,
      positions: new Map(),
      failed: new Map(),
      ...changes,
    })
  }

  /** Established, as an honest peer would be, but for what its READY may say otherwise. */
  async establish(node: Target, ready: Partial<Ready> = {}, setup: Partial<Setup> = {}): Promise<this> {
    await this.handshake(node)
    return this.makeReady(ready, setup)
  }

  /** From keys agreed on to established. */
  async makeReady(ready: Partial<Ready> = {}, setup: Partial<Setup> = {}): Promise<this> {
    this.setup(setup)
    this.ready(ready)
    await this.listen()
    return this
  }

  /** Reads what the node says from now on. Resolves at its READY, or when the session is over. */
  listen(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    void this.#hear(this.channel, resolve).then(resolve)
    return promise
  }

  /** What the node has said, by type. */
  readonly heard: string[] = []
  /** The limit of each name, as the node has acknowledged it. */
  readonly limits: Map<string, number> = new Map()
  /** How it has said goodbye. */
  goodbye: GoodbyeReason | undefined
  /** Whether it answers pings. */
  answers = true

  /** What goes out on the session's stream instead of what should; `undefined`: what should. */
  tap: ((pieces: readonly Uint8Array[]) => readonly Uint8Array[]) | undefined
  /** What has come on the session's stream. */
  readonly seen: Uint8Array[] = []

  #tapped(stream: ByteStream): ByteStream {
    const { seen } = this
    const received = new ReceiveBuffer()
    stream.received
      .consume((queue) => {
        const chunks = queue.drain()
        for (const chunk of chunks) seen.push(chunk.slice())
        received.push(chunks)
        return undefined
      })
      .then(
        () => received.end(),
        (error) => received.end(error),
      )
    return {
      send: (pieces) => {
        this.#sent++
        return stream.send(this.tap === undefined ? pieces : this.tap(pieces))
      },
      writable: () => stream.writable(),
      received,
      closeWrite: () => stream.closeWrite(),
      abort: (error) => stream.abort(error),
    }
  }

  async #hear(channel: ControlChannel, ready: () => void): Promise<void> {
    try {
      await channel.receive(unlimited(), (message) => {
        this.heard.push(message.type)
        if (message.type === 'ack') for (const { name, limit } of message.acknowledgements) this.limits.set(name, limit)
        if (message.type === 'ready') ready()
        if (message.type === 'goodbye') this.goodbye = message.reason
        if (message.type === 'ping' && this.answers) channel.send({ type: 'pong', number: message.number })
      })
      await channel.close()
    } catch {
      // the node broke it off
    }
  }

  /** Sends a control record with this in it; from then on nothing can be sent but by this. */
  sendPlain(plaintext: Uint8Array): void {
    const sealer = new RecordSealer(controlCipher(this.secrets.sendRoot, this.secrets.cipher))
    for (let i = 0; i < this.#sent - 1; i++) sealer.seal([plaintext]) // all but message 1 of the handshake
    this.stream.send(sealer.seal([plaintext]))
  }

  /** A data stream without anything on it. */
  bareStream(): Promise<ByteStream> {
    return this.link.openStream(DATA_PROTOCOL, new AbortController().signal)
  }

  /** Asks for credit, and waits until it is granted. */
  async want(limit: number, name = 'x'): Promise<void> {
    this.channel.send({ type: 'want', name, limit })
    await eventually(() => (this.limits.get(name) ?? 0) >= limit)
  }

  /** A data stream with its own key; `number` as an honest peer counts unless it is told otherwise. */
  async dataStream(given?: number): Promise<RawStream> {
    const number = given ?? this.#streams++
    const stream = await this.bareStream()
    const sealer = new RecordSealer(dataCipher(this.secrets.sendRoot, number, this.secrets.cipher))
    stream.send([encodeDataHeader(this.secrets.id, number)])
    return {
      stream,
      sealer,
      send: (...plaintexts) => {
        for (const plaintext of plaintexts) stream.send(sealer.seal([plaintext]))
      },
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#host.stop()
  }
}
