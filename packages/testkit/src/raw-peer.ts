import { Identity, type Multiaddr, type PeerId } from '@glueberry/node'
import {
  type ControlMessage,
  dataCipher,
  encodeDataHeader,
  IdentityKeys,
  type Ready,
  RecordSealer,
  type SessionSecrets,
  type Setup,
} from '@glueberry/wire'
import { systemClock } from '../../node/src/clock.ts'
import { Libp2pHost } from '../../node/src/host.ts'
import { seedOf } from '../../node/src/identity.ts'
import { publicKeyOf } from '../../node/src/peer-id.ts'
import { ControlChannel } from '../../node/src/session/control-channel.ts'
import { initiate } from '../../node/src/session/noise-handshake.ts'
import { type ByteStream, DATA_PROTOCOL, type Link, SESSION_PROTOCOL } from '../../node/src/transport.ts'

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

  constructor(identity: Identity = Identity.generate()) {
    this.identity = identity
    const privateKey = Uint8Array.from([...seedOf(this.identity), ...this.identity.publicKey])
    this.#host = new Libp2pHost({
      privateKey,
      peerId: this.identity.peerId,
      listen: [],
      connections: 10,
      dialTimeout: 30_000,
      unreadMax: 2 ** 24,
      clock: systemClock,
      libp2p: {},
    })
  }

  /** A connection, and an open session stream with nothing on it. */
  async connect(node: Target): Promise<this> {
    const refuse = (): void => {}
    await this.#host.start({
      admit: () => undefined,
      admitsPeer: () => true,
      onSessionStream: refuse,
      onDataStream: refuse,
      onAddresses: refuse,
    })
    const address = (node.addrs[0] as string).replace(/\/p2p\/.*/, '')
    this.link = await this.#host.dial(node.peerId, address, new AbortController().signal)
    this.stream = await this.link.openStream(SESSION_PROTOCOL, new AbortController().signal)
    this.channel = new ControlChannel(this.stream)
    return this
  }

  /** Keys agreed on, nothing said yet. */
  async handshake(node: Target): Promise<this> {
    await this.connect(node)
    const seed = seedOf(this.identity)
    this.secrets = await initiate(this.channel, {
      identity: new IdentityKeys(seed),
      network: 'default',
      remotePublicKey: publicKeyOf(node.peerId),
      peerId: node.peerId,
    })
    this.channel.secure(this.secrets.sendRoot, this.secrets.receiveRoot)
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
      limits: new Map([['x', 10_000]]),
      positions: new Map(),
      ...changes,
    })
  }

  /** Established, as an honest peer would be, but for what its READY may say otherwise. */
  async establish(node: Target, ready: Partial<Ready> = {}, setup: Partial<Setup> = {}): Promise<this> {
    await this.handshake(node)
    this.setup(setup)
    this.ready(ready)
    const messages = this.channel.messages()
    for (
      let next = await messages.next();
      next.done !== true && next.value.type !== 'ready';
      next = await messages.next()
    );
    void this.#listen(messages)
    return this
  }

  /** What the node says afterwards. */
  readonly heard: string[] = []
  /** Whether it answers pings. */
  answers = true

  async #listen(messages: AsyncIterator<ControlMessage>): Promise<void> {
    try {
      for (let next = await messages.next(); next.done !== true; next = await messages.next()) {
        const { value } = next
        this.heard.push(value.type)
        if (value.type === 'ping' && this.answers) this.channel.send({ type: 'pong', number: value.number })
      }
    } catch {
      // the node broke it off
    }
  }

  /** A data stream with its own key; `number` as an honest peer counts unless it is told otherwise. */
  async dataStream(given?: number): Promise<RawStream> {
    const number = given ?? this.#streams++
    const stream = await this.link.openStream(DATA_PROTOCOL, new AbortController().signal)
    const sealer = new RecordSealer(dataCipher(this.secrets.sendRoot, number))
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
