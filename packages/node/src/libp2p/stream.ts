import type { Connection, Stream } from '@libp2p/interface'
import { Uint8ArrayList } from 'uint8arraylist'
import { withSignal } from '../async.ts'
import { type Clock, deadline } from '../clock.ts'
import { GlueberryError } from '../errors.ts'
import { freeWhole } from '../memory.ts'
import { ReceiveBuffer } from '../transport/receive-buffer.ts'
import type { ByteStream } from '../transport/transport.ts'
import type { Changes } from './changes/changes.ts'
import { type AgreedProtocol, awaitedOn } from './changes/early-streams.ts'
import { YAMUX_HEADER } from './changes/guard.ts'
import { widenWindow } from './changes/speed.ts'

const YAMUX = '/yamux/1.0.0'
/** States of a stream on which nothing comes any more. */
const OVER: ReadonlySet<string> = new Set(['closed', 'aborted', 'reset'])
/** So many bytes go before the remote has agreed to the protocol: its libp2p keeps them until it hands the stream over. */
const EARLY_MAX = 32 * 1024
/** A graceful close takes no longer, in milliseconds. */
const CLOSE_TIMEOUT = 1000

/** Closes by `close`, in a bounded time, or else by `abort`. */
export async function closeWithin(
  clock: Clock,
  it: { close(options: { signal: AbortSignal }): Promise<void>; abort(error: Error): void },
): Promise<void> {
  const limit = deadline(clock, CLOSE_TIMEOUT, () => new Error('closing took too long'))
  try {
    await it.close({ signal: limit.signal })
  } catch (error) {
    it.abort(error as Error)
  } finally {
    limit.cancel()
  }
}

export interface StreamOptions {
  readonly clock: Clock
  /** What may wait unread in one stream before it is broken off, in bytes. */
  readonly unreadMax: number
  readonly changes: Changes
}

/** A libp2p stream. */
export class Libp2pByteStream implements ByteStream {
  readonly received: ReceiveBuffer = new ReceiveBuffer(YAMUX_HEADER)
  readonly #stream: Stream
  readonly #clock: Clock
  readonly #unreadMax: number
  readonly #encrypted: boolean
  /** What comes first, when the stream was opened before the remote has agreed to its protocol. */
  #awaited: AgreedProtocol | undefined
  #early = 0 // bytes that were sent before that

  constructor(stream: Stream, connection: Connection, options: StreamOptions) {
    this.#stream = stream
    this.#clock = options.clock
    this.#unreadMax = options.unreadMax
    this.#awaited = awaitedOn(stream)
    // Another transport of the user's may have other layers, which keep what they are given.
    this.#encrypted = connection.multiplexer === YAMUX && connection.encryption === '/noise'
    if (connection.multiplexer === YAMUX) widenWindow(stream, options.changes)
    // A `message` listener takes everything at once: libp2p's own iterators buffer without a limit, or abort at 4 MiB.
    stream.addEventListener('message', (event) => this.#push(event.data))
    stream.addEventListener('end', () => this.received.end())
    stream.addEventListener('close', (event) => this.received.end(event.error))
    // The remote may have reset it before it came here: then no event tells of it any more.
    if (OVER.has(stream.status)) this.received.end(new Error('the stream is closed'))
  }

  send(pieces: readonly Uint8Array[]): boolean {
    const goesOn = this.#stream.send(new Uint8ArrayList(...pieces))
    if (this.#awaited !== undefined) for (const { length } of pieces) this.#early += length
    // True: nothing of it waits, Noise has encrypted all of it into memory of its own.
    if (goesOn && this.#encrypted) for (const piece of pieces) freeWhole(piece)
    return goesOn && (this.#awaited === undefined || this.#early < EARLY_MAX)
  }

  writable(): Promise<void> {
    return this.#awaited === undefined ? this.#drained() : this.#agreed().then(() => this.#drained())
  }

  /** Resolves when the remote has agreed to the protocol, or nothing more comes. */
  async #agreed(): Promise<void> {
    if (this.#awaited !== undefined) await Promise.race([this.#awaited.agreed, this.received.over])
  }

  #drained(): Promise<void> {
    const stream = this.#stream
    // Not `stream.onDrain()`: its promise is never renewed, so from the second use on it returns at once.
    return new Promise((resolve, reject) => {
      if (stream.writeStatus !== 'writable') return reject(this.received.error ?? new Error('the stream is closed'))
      if (!stream.writableNeedsDrain) return resolve()
      const settle = (): void => {
        stream.removeEventListener('drain', drained)
        stream.removeEventListener('close', settle)
        if (stream.writeStatus === 'writable') resolve()
        else reject(this.received.error ?? new Error('the stream is closed'))
      }
      // All streams of a connection drain at once, and each writes what waits in it only then: the first one may fill the
      // socket again. What was added to the others meanwhile would go out in one frame, longer than any remote accepts.
      const drained = (): void => {
        queueMicrotask(() => {
          if (!stream.writableNeedsDrain) settle()
        })
      }
      stream.addEventListener('drain', drained)
      stream.addEventListener('close', settle)
    })
  }

  async closeWrite(): Promise<void> {
    const stream = this.#stream
    const close = async (options: { signal: AbortSignal }): Promise<void> => {
      // libp2p loses what comes with the end of a stream whose protocol it has not yet agreed to.
      await withSignal(this.#agreed(), options.signal)
      await stream.close(options)
    }
    await closeWithin(this.#clock, { close, abort: (error) => stream.abort(error) })
  }

  abort(error: Error): void {
    this.#stream.abort(error)
  }

  #push(data: Uint8Array | Uint8ArrayList): void {
    if (this.#awaited === undefined) return this.#receive(data)
    try {
      this.#receive(this.#behindAnswer(this.#awaited, data))
    } catch (error) {
      this.received.end(error as Error)
      this.#stream.abort(error as Error)
    }
  }

  #behindAnswer(awaited: AgreedProtocol, data: Uint8Array | Uint8ArrayList): Uint8ArrayList {
    const behind = new Uint8ArrayList()
    for (const piece of data instanceof Uint8Array ? [data] : data) {
      const rest = awaited.take(piece)
      if (rest.length > 0) behind.append(rest)
    }
    if (awaited.complete) this.#awaited = undefined
    return behind
  }

  #receive(data: Uint8Array | Uint8ArrayList): void {
    if (this.received.queue.length + data.byteLength > this.#unreadMax) {
      return this.#stream.abort(
        new GlueberryError('PROTOCOL', `more than ${this.#unreadMax} bytes wait unread in one stream`),
      )
    }
    this.received.push(data instanceof Uint8Array ? [data] : data)
  }
}
