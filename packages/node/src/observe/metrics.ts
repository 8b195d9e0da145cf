import type { Cancellable, Clock } from '../clock.ts'
import type { NodeEvent, PeerState } from '../events/events.ts'
import type { Logger } from './logger.ts'
import type { PeerStats } from './stats.ts'

/** Where a node counts and measures: a few lines around prom-client, OpenTelemetry or StatsD. Names are Prometheus'. */
export interface Metrics {
  /** `value` more of something. */
  counter(name: string, value: number, labels?: Record<string, string>): void
  /** How much of something there is now. */
  gauge(name: string, value: number, labels?: Record<string, string>): void
  /** One measured value. */
  histogram(name: string, value: number, labels?: Record<string, string>): void
}

/** How often what is counted per message is reported, in milliseconds. */
const INTERVAL = 1000

/** What a report is made of. */
export interface MetricsSource {
  /** Statistics of all peers, by something that stays the same while they only grow. */
  stats(): Iterable<readonly [object, PeerStats]>
  /** How many peers are in each state. */
  peers(): Readonly<Record<PeerState, number>>
  /** Cost of what is held for the application. */
  held(): number
  /** Bytes that are kept until they are consumed. */
  buffered(): number
}

type Totals = Pick<PeerStats, 'messagesSent' | 'messagesReceived' | 'bytesSent' | 'bytesReceived' | 'redelivered'>

const NOTHING: Totals = { messagesSent: 0, messagesReceived: 0, bytesSent: 0, bytesReceived: 0, redelivered: 0 }

const COUNTERS: readonly (readonly [keyof Totals, string])[] = [
  ['messagesSent', 'glueberry_messages_sent_total'],
  ['messagesReceived', 'glueberry_messages_received_total'],
  ['bytesSent', 'glueberry_sent_bytes_total'],
  ['bytesReceived', 'glueberry_received_bytes_total'],
  ['redelivered', 'glueberry_messages_redelivered_total'],
]

/** Reports to the user's metrics: events as they come, what is counted per message once a second. */
export class Meter {
  readonly #metrics: Metrics
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #source: MetricsSource
  readonly #reported = new WeakMap<object, Totals>()
  #timer: Cancellable | undefined // while started
  /** What is told after the transition in progress: the user's code may call anything. */
  #queue: ((metrics: Metrics) => unknown)[] = []
  /** Peers with an established session. */
  readonly #established = new Set<string>()
  #warned = false

  constructor(metrics: Metrics, clock: Clock, logger: Logger, source: MetricsSource) {
    this.#metrics = metrics
    this.#clock = clock
    this.#logger = logger
    this.#source = source
  }

  start(): void {
    this.#timer?.cancel()
    this.#timer = this.#clock.setTimer(() => {
      this.start()
      this.#report()
    }, INTERVAL)
  }

  /** Reports a last time. */
  stop(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#report()
    this.#flush()
  }

  event(event: NodeEvent): void {
    const count = (name: string, value = 1, labels?: Record<string, string>): void =>
      this.#tell((metrics) => metrics.counter(name, value, labels))
    switch (event.type) {
      case 'established':
        this.#established.add(event.peerId)
        return count('glueberry_sessions_established_total', 1, { resumed: String(event.resumed) })
      case 'disconnected':
        if (!this.#established.delete(event.peerId)) return // a dial that failed
        return count('glueberry_disconnects_total', 1, { reason: event.reason.kind })
      case 'reconnecting':
        return count('glueberry_reconnect_attempts_total')
      case 'reconnected':
        return count('glueberry_reconnects_total')
      case 'cooldown':
        return count('glueberry_cooldowns_total')
      case 'undelivered':
        return count('glueberry_messages_undelivered_total', event.count)
      case 'skipped':
        return count('glueberry_messages_skipped_total', event.count)
      case 'error':
        return count('glueberry_errors_total', 1, { code: event.error.code })
    }
  }

  /** A heartbeat's answer took so many milliseconds. */
  roundTrip(milliseconds: number): void {
    this.#tell((metrics) => metrics.histogram('glueberry_round_trip_seconds', milliseconds / 1000))
  }

  /** Reports what one peer's statistics have grown by; for one that is about to go. */
  collect(key: object, stats: PeerStats): void {
    const before = this.#reported.get(key) ?? NOTHING
    for (const [field, name] of COUNTERS) {
      const more = stats[field] - before[field]
      if (more > 0) this.#tell((metrics) => metrics.counter(name, more))
    }
    this.#reported.set(key, stats)
  }

  /** What it had before is not counted again. */
  inherit(key: object, stats: PeerStats): void {
    this.#reported.set(key, stats)
  }

  #report(): void {
    for (const [key, stats] of this.#source.stats()) this.collect(key, stats)
    for (const [state, count] of Object.entries(this.#source.peers())) {
      this.#tell((metrics) => metrics.gauge('glueberry_peers', count, { state }))
    }
    const held = this.#source.held()
    const buffered = this.#source.buffered()
    this.#tell((metrics) => metrics.gauge('glueberry_held_bytes', held))
    this.#tell((metrics) => metrics.gauge('glueberry_buffered_bytes', buffered))
  }

  #tell(say: (metrics: Metrics) => unknown): void {
    this.#queue.push(say)
    if (this.#queue.length === 1) void Promise.resolve().then(() => this.#flush())
  }

  /** What the user's code throws harms nobody, and is said once. */
  #flush(): void {
    const failed = (error: unknown): void => {
      if (!this.#warned) this.#logger.error('the metrics have failed', { error })
      this.#warned = true
    }
    for (const say of this.#queue.splice(0)) {
      try {
        Promise.resolve(say(this.#metrics)).catch(failed)
      } catch (error) {
        failed(error)
      }
    }
  }
}
