import { type ControlMessage, FAILURES_MAX } from '@glueberry/wire'
import type { Clock } from '../clock.ts'
import type { StreamsPort } from '../session-port.ts'
import type { ControlChannel } from './control-channel.ts'

export interface ControlDutiesOptions {
  readonly clock: Clock
  readonly channel: ControlChannel
  /** Sends, unless the session is over. */
  send(message: Exclude<ControlMessage, { type: 'unknown' }>): void
  /** Where what is due to be acknowledged comes from. */
  readonly streams: Pick<StreamsPort, 'due'>
  /** A ping was answered. */
  answered(): void
  /** It took so many milliseconds. */
  measured(roundTrip: number): void
}

/**
 * Pings, their answers and acknowledgements: state rather than messages, so while the control stream is full only the
 * newest of each waits.
 */
export class ControlDuties {
  readonly #options: ControlDutiesOptions
  #over = false
  #flushWaits = false // for the channel to have room
  #ackWanted = false // while the channel is congested
  #pongWanted: number | undefined // likewise
  #ping: { readonly number: number; readonly at: number } | undefined // the first one without a pong
  #pings = 0
  #roundTrip: number | undefined

  constructor(options: ControlDutiesOptions) {
    this.#options = options
  }

  /** Milliseconds of the last ping's round trip. */
  get roundTrip(): number | undefined {
    return this.#roundTrip
  }

  /** Asks for a sign of life, if there is room. */
  ping(): void {
    const { clock, channel, send } = this.#options
    if (this.#over || channel.congested) return
    const number = ++this.#pings
    this.#ping ??= { number, at: clock.elapsed() }
    send({ type: 'ping', number })
  }

  /** The peer asks. */
  onPing(number: number): void {
    this.#pongWanted = number
    this.#flush()
  }

  /** It has answered. */
  onPong(number: number): void {
    const ping = this.#ping
    if (ping === undefined || number < ping.number || number > this.#pings) return
    this.#ping = undefined
    this.#options.answered()
    if (number > ping.number) return // of several that came while its stream was full, the peer answers the newest
    const roundTrip = this.#options.clock.elapsed() - ping.at
    this.#roundTrip = Math.round(roundTrip)
    this.#options.measured(roundTrip)
  }

  /** Something is due to be acknowledged. */
  requestAcknowledgement(): void {
    this.#ackWanted = true
    this.#flush()
  }

  /** Sends what is due to be acknowledged, whether or not there is room. */
  acknowledge(): void {
    const { streams, send } = this.#options
    const { failures, acknowledgements } = streams.due()
    for (let at = 0; at < failures.length; at += FAILURES_MAX)
      send({ type: 'failed', failures: failures.slice(at, at + FAILURES_MAX) })
    if (acknowledgements.length > 0) send({ type: 'ack', acknowledgements })
  }

  /** The session is over: nothing is due any more. */
  stop(): void {
    this.#over = true
  }

  /** Now, or when there is room. */
  #flush(): void {
    const { channel, send } = this.#options
    if (this.#over) return
    if (channel.congested) return this.#flushLater()
    if (this.#pongWanted !== undefined) {
      const number = this.#pongWanted
      this.#pongWanted = undefined
      send({ type: 'pong', number })
    }
    if (this.#ackWanted) {
      this.#ackWanted = false
      this.acknowledge()
    }
  }

  /** Once, whatever is wanted meanwhile. */
  #flushLater(): void {
    if (this.#flushWaits) return
    this.#flushWaits = true
    void this.#options.channel.writable().then(() => {
      this.#flushWaits = false
      this.#flush()
    })
  }
}
