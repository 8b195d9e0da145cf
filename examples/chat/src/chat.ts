import {
  type DisconnectReason,
  GlueberryError,
  type HandshakePeer,
  type Identity,
  type Logger,
  type Multiaddr,
  Node,
  type PeerId,
  type Verdict,
} from '@glueberry/node'
import { printable } from '@glueberry/terminal'
import { writeInvite } from './invite.ts'
import { Names } from './names.ts'
import type { Screen } from './screen.ts'

/** How long leaving may take while lines are still being delivered, in milliseconds. */
const DRAIN_TIMEOUT = 5000
/** Shorter waits than this are over before they are read. */
const WORTH_TELLING = 1000

export interface ChatOptions {
  readonly identity: Identity
  readonly name: string
  readonly listen: readonly Multiaddr[]
  readonly screen: Screen
  readonly logger: Logger
}

/** One chat: a node, the people on it, and the screen. */
export class Chat {
  readonly #node: Node<'chat'>
  readonly #screen: Screen
  /** How each peer is called. */
  readonly #names: Names
  /** Those that lines go to, here or away. */
  readonly #present = new Set<PeerId>()
  /** And whether it was said already that they are tried again. */
  readonly #away = new Map<PeerId, 'quiet' | 'told'>()
  readonly #leaving = new AbortController()
  #someone = Promise.withResolvers<void>()
  #unsent = 0
  /** The chat was there: joined, or ready for others. */
  #announced = false

  constructor({ identity, name, listen, screen, logger }: ChatOptions) {
    this.#screen = screen
    this.#names = new Names(name)
    this.#node = new Node({
      identity,
      listen,
      streams: ['chat'],
      network: 'glueberry-chat',
      reconnect: { maxDelay: 10_000 }, // a person waits for it
      handshake: (peer) => this.#introduce(peer, name),
      logger,
    })
  }

  /** Starts, joins if invited, and sends what is typed until the input ends or `leave`. Rejects when it cannot start or join. */
  async run(invite: readonly Multiaddr[] | undefined): Promise<void> {
    const { signal } = this.#leaving
    try {
      await this.#begin(invite)
      for await (const line of this.#screen.lines) {
        if (line.trim() === '/quit') break
        if (line !== '') await this.#say(line)
        if (signal.aborted) break
      }
    } catch (error) {
      if (!signal.aborted) throw error // who leaves while it starts or joins has not failed
    } finally {
      await this.#end()
    }
  }

  /** Ends `run`, after what was typed has been delivered. */
  leave(): void {
    this.#leaving.abort()
    this.#screen.close()
  }

  async #begin(invite: readonly Multiaddr[] | undefined): Promise<void> {
    const node = this.#node
    const { signal } = this.#leaving
    node.on('established', ({ peerId }) => this.#joined(peerId))
    node.on('disconnected', ({ peerId, reason }) => this.#lost(peerId, reason))
    node.on('reconnecting', ({ peerId, attempt, delay }) => this.#retries(peerId, attempt, delay))
    node.on('undelivered', ({ count }) => {
      // When leaving, all of it is told at once.
      if (!signal.aborted) void this.#screen.show({ type: 'undelivered', lines: count })
    })
    node.on('closed', ({ peerId }) => {
      this.#left(peerId, 'it did not come back')
      this.#names.delete(peerId)
    })
    node.handle('chat', (message) =>
      this.#screen.show({
        type: 'line',
        peerId: message.peerId,
        name: this.#names.get(message.peerId),
        text: printable(message.text()),
      }),
    )
    await node.start()
    if (signal.aborted) return
    await this.#screen.show({
      type: 'ready',
      peerId: node.peerId,
      addresses: node.addrs,
      invite: writeInvite(node.addrs),
    })
    if (invite !== undefined) await node.connect(invite, { signal })
    this.#announced = true
  }

  /** Lines that nobody has yet, or that a peer has not shown yet. */
  get #undelivered(): number {
    return this.#node
      .listPeers()
      .reduce((sum, { peerId }) => sum + this.#node.buffered(peerId, 'chat').messages, this.#unsent)
  }

  async #say(line: string): Promise<void> {
    const { signal } = this.#leaving
    this.#unsent++
    if (this.#present.size === 0) await this.#screen.show({ type: 'waiting' })
    while (this.#present.size === 0) {
      if (signal.aborted) return
      await Promise.race([this.#someone.promise, aborted(signal)])
    }
    // Who has something to say does not want to wait for the next attempt.
    for (const peerId of this.#away.keys()) this.#node.connect(peerId, { signal }).catch(() => {})
    await Promise.all(
      [...this.#present].map((peerId) =>
        this.#node
          .send(peerId, 'chat', line)
          .catch((error: unknown) => this.#screen.show({ type: 'error', message: explain(error) })),
      ),
    )
    this.#unsent--
  }

  async #end(): Promise<void> {
    this.leave()
    if (this.#announced) await this.#screen.show({ type: 'closing', lines: this.#undelivered })
    const { unsent } = await this.#node.drain({ timeout: DRAIN_TIMEOUT })
    const lines = unsent.reduce((sum, { count }) => sum + count, this.#unsent)
    if (lines > 0) await this.#screen.show({ type: 'undelivered', lines })
  }

  /** Both say their names, and let each other in. */
  async #introduce(peer: HandshakePeer, name: string): Promise<Verdict> {
    await peer.send(name)
    this.#names.set(peer.peerId, Buffer.from(await peer.receive()).toString())
    return peer.accept()
  }

  #joined(peerId: PeerId): void {
    const name = this.#names.get(peerId)
    if (this.#away.delete(peerId)) return void this.#screen.show({ type: 'back', peerId, name })
    if (this.#present.has(peerId)) return // its keys are new, or it came by another way
    this.#present.add(peerId)
    this.#someone.resolve()
    void this.#screen.show({ type: 'joined', peerId, name })
  }

  #lost(peerId: PeerId, reason: DisconnectReason): void {
    if (reason.kind === 'remote' || reason.kind === 'local') return this.#left(peerId, WHY[reason.kind])
    if (!this.#present.has(peerId) || this.#away.has(peerId)) return
    this.#away.set(peerId, 'quiet')
    if (this.#leaving.signal.aborted) return
    void this.#screen.show({ type: 'away', peerId, name: this.#names.get(peerId), reason: WHY[reason.kind] })
  }

  #retries(peerId: PeerId, attempt: number, delay: number): void {
    if (this.#away.get(peerId) !== 'quiet' || delay < WORTH_TELLING) return
    this.#away.set(peerId, 'told') // once each time
    void this.#screen.show({ type: 'retry', peerId, name: this.#names.get(peerId), attempt, delay })
  }

  #left(peerId: PeerId, reason: string): void {
    this.#away.delete(peerId)
    if (!this.#present.delete(peerId)) return
    if (this.#present.size === 0) this.#someone = Promise.withResolvers()
    if (this.#leaving.signal.aborted) return
    void this.#screen.show({ type: 'left', peerId, name: this.#names.get(peerId), reason })
  }
}

const WHY: Record<DisconnectReason['kind'], string> = {
  remote: 'said goodbye',
  io: 'the connection broke',
  timeout: 'no answer any more',
  protocol: 'it did not follow the rules',
  authentication: 'it could not prove who it is',
  local: 'disconnected',
}

/** An error, for a person. Part of it may be a remote's words. */
export function explain(error: unknown): string {
  if (!GlueberryError.is(error)) return printable(error instanceof Error ? error.message : String(error))
  const { message, hint } = error
  return printable(hint === undefined || message.includes(hint) ? message : `${message} (${hint})`)
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
