import {
  type ControlMessage,
  type GoodbyeReason,
  type Ready,
  type Refusal,
  type Setup,
  WireError,
} from '@glueberry/wire'
import { type ErrorCode, GlueberryError } from '../errors.ts'
import type { DisconnectReason } from '../events/events.ts'
import type { PeerId } from '../peer-id.ts'
import type { OpenedStream, SessionPort } from '../session-port.ts'
import type { ByteStream, Link } from '../transport/transport.ts'
import { ApplicationHandshake } from './application-handshake.ts'
import { ControlChannel } from './control-channel.ts'
import { ControlDuties } from './control-duties.ts'
import { type ControlTarget, handleControl } from './control-messages.ts'
import { watchControl } from './control-watch.ts'
import { openDataStream } from './data-streams.ts'
import { endByError, type SessionEnd } from './endings.ts'
import { Heartbeat } from './heartbeat.ts'
import { KeyLife, mayBeInFlight } from './key-life.ts'
import { agreeOnKeys } from './noise-handshake.ts'
import { Opening } from './opening.ts'
import { type Deciding, decide, establish } from './phase.ts'
import { refusalError } from './refusals.ts'
import { SessionKeys } from './session-keys.ts'
import type { SessionContext, SessionOwner } from './session-owner.ts'
import { SessionView } from './session-view.ts'

/** One session: its control stream from the first byte to the goodbye. It owns the stream and its keys, not the link. */
export class Session extends SessionView implements SessionPort {
  readonly link: Link
  readonly peerId: PeerId
  /** The session whose keys this one renews. */
  readonly renews: Session | undefined
  readonly #context: SessionContext
  readonly #owner: SessionOwner<Session>
  readonly #channel: ControlChannel
  readonly #duties: ControlDuties
  readonly #heartbeat: Heartbeat
  readonly #keyLife: KeyLife
  readonly #application: ApplicationHandshake
  readonly #control: ControlTarget
  readonly #opening: Opening
  readonly #outcome = Promise.withResolvers<boolean>()

  constructor(link: Link, stream: ByteStream, context: SessionContext, owner: SessionOwner<Session>, renews?: Session) {
    super()
    this.link = link
    this.renews = renews
    this.peerId = link.peerId
    this.#context = context
    this.#owner = owner
    this.#channel = new ControlChannel(stream)
    this.#opening = new Opening({
      clock: context.clock,
      timeout: context.handshakeTimeout,
      pending: context.pending,
      known: () => owner.known,
      late: (ms) => this.#late('HANDSHAKE_TIMEOUT', `did not complete the handshake within ${ms} ms`),
      drop: () => this.refuse({ code: 'busy', reason: 'it holds too much for others already' }),
    })
    this.#application = new ApplicationHandshake(
      link.peerId,
      context.ownPeerId,
      (data) => this.#sendHandshake(data),
      (bytes) => this.#opening.hold(bytes),
    )
    this.#duties = new ControlDuties({
      clock: context.clock,
      channel: this.#channel,
      send: (message) => this.#send(message),
      streams: owner.streams,
      answered: () => this.#wasAnswered(),
      measured: context.measured,
    })
    this.#heartbeat = new Heartbeat({
      clock: context.clock,
      ...context.heartbeat,
      ping: () => this.#duties.ping(),
      dead: () => this.#late('CONNECT_TIMEOUT', `has been silent for ${context.heartbeat.timeout} ms`),
    })
    this.#control = this.#makeControl()
    this.#keyLife = new KeyLife({
      clock: context.clock,
      ...context.keyLife,
      due: () => owner.onKeysDue(this),
      over: () => this.#late('KEYS_EXPIRED', 'did not renew the keys of the session in time'),
    })
  }

  /** Milliseconds of the last ping's round trip. */
  get roundTrip(): number | undefined {
    return this.#duties.roundTrip
  }

  /** Resolves when the peer has closed its side of the control stream: it has read everything that it will read. */
  get remoteEnded(): Promise<void> {
    return this.#channel.ended
  }

  /** Resolves to true when it is established, to false when it ends before. */
  get whenEstablished(): Promise<boolean> {
    return this.#outcome.promise
  }

  /** Runs the session to its end; never rejects, the end is told to the owner. */
  async run(): Promise<void> {
    const { keys: identity, network, aes } = this.#context
    this.#opening.begin()
    try {
      const secrets = await agreeOnKeys(this.#channel, this.link.direction, {
        ...{ identity, network, aes, peerId: this.peerId, previousSessionId: this.renews?.id },
        refuses: () => this.#owner.refuses(),
      })
      const keys = new SessionKeys(secrets, this.peerId)
      if (this.ended) return keys.destroy()
      this.#channel.secure(secrets)
      const own = this.#owner.setup()
      this.phase = { name: 'setting up', keys, own }
      this.#channel.send(own)
      const late = (ms: number): void => this.#late('CONNECT_TIMEOUT', `did not complete a record within ${ms} ms`)
      await this.#channel.receive(watchControl(this, this.#context, this.#opening, late), (message) => {
        this.#heard()
        handleControl(message, this.phase, this.#control)
      })
      this.fail(this.#error(`${this.peerId} closed the session`))
    } catch (error) {
      this.fail(error)
    }
  }

  /** After the peer's SETUP: the application may decide. */
  begin(): void {
    const { handshake, logger, report } = this.#context
    if (handshake === undefined) return this.accept()
    void this.#application.decide(handshake, this.link.direction, { logger, report }).then((refusal) => {
      if (this.ended) return
      if (refusal === undefined) this.accept()
      else this.refuse(refusal)
    })
  }

  /** This side's application has accepted, now or in the session that this one renews. */
  accept(): void {
    this.#progress({ accepted: true })
  }

  /** Says no, instead of going on. */
  refuse(refusal: Refusal): void {
    if (this.ended) return
    this.#send({ type: 'refuse', ...refusal })
    const error = refusalError(refusal, this.peerId, 'us')
    this.#end({ reason: { kind: 'authentication', error }, refusal: { ...refusal, by: 'us' } })
  }

  /** This side is ready: data streams of the peer are accepted from here on. */
  sendReady(ready: Ready): void {
    if (this.phase.name !== 'deciding') return
    this.phase = { ...this.phase, readySent: true }
    this.#send(ready)
    this.#establish()
  }

  /** An acknowledgement is due: it is asked for when the control stream has room, so only the newest is sent. */
  requestAcknowledgement(): void {
    if (this.established) this.#duties.requestAcknowledgement()
  }

  /** Which names this side accepts more, or no longer; what credit it asks for, or gives back; or, from the side that was dialed, that new keys are wanted. */
  tell(message: ControlMessage & { readonly type: 'streams' | 'withdraw' | 'renew' | 'want' | 'return' }): void {
    this.#send(message)
  }

  /** A record of a data stream has come. @throws GlueberryError when the session is over: its records are no longer processed */
  heard(bytes: number): void {
    if (this.ended) throw this.#error('the session is over')
    this.#heard()
    this.#used(bytes)
  }

  /** Opens a data stream. Its `seal` throws at the end of the keys' life: what it sealed must not be sent. */
  async openStream(): Promise<OpenedStream> {
    const { clock, handshakeTimeout: timeout } = this.#context
    return openDataStream(this.#agreed(), { clock, link: this.link, timeout, used: (bytes) => this.#used(bytes) })
  }

  /** What opens the records of a data stream of the peer. @throws GlueberryError `PROTOCOL` for a number that was used before */
  opener(number: number): (record: Uint8Array) => Uint8Array<ArrayBuffer> {
    const opener = this.#agreed().opener(number)
    return (record) => opener.open(record)
  }

  /** Something that READY waits for has come about. */
  #progress(change: Partial<Pick<Deciding, 'accepted' | 'remoteReady'>>): void {
    if (this.phase.name !== 'deciding') return
    this.phase = { ...this.phase, ...change }
    if (!this.phase.readySent) this.#owner.onProgress(this, this.phase.remote)
    this.#establish()
  }

  /** How long nothing has come from the peer, in milliseconds. */
  get quietFor(): number {
    return this.#heartbeat.quietFor
  }

  /** Whether the keys have been used for long enough that an honest peer may want new ones. */
  get mayBeRenewed(): boolean {
    return this.#keyLife.mature
  }

  /** So many bytes more are kept for it until it is established, or less. */
  hold(bytes: number): void {
    this.#opening.hold(bytes)
  }

  /** Ends it with a word to the peer. */
  goodbye(goodbye: GoodbyeReason, reason: DisconnectReason): void {
    if (this.ended) return
    if (this.established) this.#duties.acknowledge() // what was consumed here need not come again
    this.#send({ type: 'goodbye', reason: goodbye })
    this.#end({ reason, goodbye })
  }

  /** Ends it because of an error, ours or the stream's. */
  fail(error: unknown): void {
    if (this.ended) return
    const end = endByError(error, this.peerId, this.keys !== undefined)
    if (end.goodbye !== undefined) this.#send({ type: 'goodbye', reason: end.goodbye })
    this.#end(end)
  }

  /** Ends it without a word, for `reason`. */
  abandon(reason: DisconnectReason): void {
    this.#end({ reason })
  }

  #makeControl(): ControlTarget {
    return {
      peerId: this.peerId,
      streams: this.#owner.streams,
      request: () => this.#owner.onRequest(),
      end: (end) => this.#end(end),
      setup: (remote) => this.#setUp(remote),
      handshake: (data) => this.#application.push(data as Uint8Array<ArrayBuffer>),
      ready: (remoteReady) => this.#progress({ remoteReady }),
      accepts: (remoteStreams) => {
        if ('remoteStreams' in this.phase) this.phase = { ...this.phase, remoteStreams }
      },
      ping: (number) => {
        this.#heartbeat.pinged()
        this.#duties.onPing(number)
      },
      pong: (number) => this.#duties.onPong(number),
      renew: () => this.link.direction === 'outbound' && this.#keyLife.requested(), // the other side waits for it
    }
  }

  #setUp(remote: Setup): void {
    if (this.phase.name !== 'setting up') return
    this.phase = decide(this.phase, remote, this.#context.names())
    this.#owner.onSetup(this)
  }

  #agreed(): SessionKeys {
    if (this.keys === undefined) throw this.#error('the session is over')
    return this.keys
  }

  #establish(): void {
    if (this.phase.name !== 'deciding') return
    const { own, remote } = this.phase
    this.phase = establish(this.phase)
    if (this.phase.name !== 'established') return
    this.#opening.end()
    this.#application.close(new Error('the handshake is over'))
    this.link.established()
    this.#heartbeat.start()
    this.#keyLife.start(mayBeInFlight(own) + mayBeInFlight(remote))
    this.#owner.onEstablished(this, this.phase.remoteReady)
    this.#duties.ping() // its answer shows that the session works both ways
    this.#outcome.resolve(!this.ended)
    // Last: a logger may call anything.
    const fresh = this.renews === undefined ? '' : ' with fresh keys'
    this.#context.logger.debug(`session established${fresh}`, { peerId: this.peerId })
  }

  /** Ends the session when the keys have been used for too much; what was just opened or sealed is then not to be used. */
  #used(bytes: number): void {
    if (this.ended) return // the last word on a stream
    this.#keyLife.used(bytes)
    if (this.ended) throw this.#error('the session is over')
  }

  #heard(): void {
    this.#heartbeat.heard()
    if (this.phase.name !== 'established' || this.phase.heard) return
    this.phase = { ...this.phase, heard: true }
    this.#owner.onAlive(this)
  }

  #wasAnswered(): void {
    if (this.phase.name !== 'established' || this.phase.answered) return
    this.phase = { ...this.phase, answered: true }
    this.#owner.onAnswered(this, this.phase.remote)
  }

  async #sendHandshake(data: Uint8Array): Promise<void> {
    if (this.phase.name !== 'deciding' || this.phase.readySent) throw this.#error('the handshake is over')
    this.#send({ type: 'handshake', data })
    await this.#channel.writable()
  }

  #send(message: Exclude<ControlMessage, { type: 'unknown' }>): void {
    if (this.keys === undefined || this.ended) return
    try {
      this.#channel.send(message)
    } catch (error) {
      // A closed stream is told by its reader, with the better reason. What cannot be encoded or sealed is our own end.
      if (error instanceof WireError) this.#end(endByError(error, this.peerId, true))
    }
  }

  /** The peer did not do something in time. */
  #late(code: ErrorCode, what: string): void {
    const { peerId } = this
    this.fail(new GlueberryError(code, `${peerId} ${what}`, { peerId }))
  }

  #error(text: string): GlueberryError {
    return new GlueberryError('CONNECT_FAILED', text, { peerId: this.peerId })
  }

  #end(end: SessionEnd): void {
    if (this.phase.name === 'ended') return
    this.phase = { name: 'ended', end, last: this.phase }
    this.#outcome.resolve(false)
    this.#opening.end()
    this.#duties.stop()
    this.#heartbeat.stop()
    this.#keyLife.stop()
    this.#application.end(end.reason.error ?? new Error('the session is over'))
    const { kind: reason, error } = end.reason
    this.#context.logger.debug('session ended', { peerId: this.peerId, reason, error: error?.message })
    this.keys?.destroy()
    this.#owner.onEnd(this, end)
    void this.#channel.close()
  }
}
