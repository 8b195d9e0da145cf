import { encodeOpen, FIN_FRAME } from '@glueberry/wire'
import type { Clock } from '../clock.ts'
import type { OpenedStream, SessionPort } from '../session-port.ts'
import type { Outbox } from './outbox.ts'

/** So much is written in one turn, when no other name waits for its own. */
const BURST = 1024 * 1024
const BURST_SHARED = 256 * 1024

export interface WriterOptions {
  readonly name: string
  readonly outbox: Outbox
  readonly port: SessionPort
  readonly clock: Clock
  /** Whether other names of this peer wait as well. */
  shared(): boolean
}

/** The data stream of one name and session: turns what is queued into records whenever it comes to its turn. */
export class Writer {
  readonly #options: WriterOptions
  /** Once its stream is open, and OPEN has been written. */
  #opened: OpenedStream | undefined
  #asleep: (() => void) | undefined
  #wakes = false // a turn is scheduled
  #ended = false

  constructor(options: WriterOptions) {
    this.#options = options
    this.#run().catch((error) => {
      if (!this.#ended) options.port.fail(error)
    })
  }

  /** Something was queued, or may be sent now: what is added before the next turn of the event loop goes with it. */
  wake(): void {
    if (this.#wakes) return
    this.#wakes = true
    this.#options.clock.setImmediate(() => {
      this.#wakes = false
      this.rouse()
    })
  }

  /** Much is queued: do not wait for the next turn. */
  rouse(): void {
    const wake = this.#asleep
    this.#asleep = undefined
    wake?.()
  }

  /** The session is over: writes nothing more. After a goodbye the stream ends in good order, behind what was written. */
  end(orderly: boolean): void {
    this.#ended = true
    const opened = this.#opened
    if (opened !== undefined) {
      try {
        if (orderly) opened.stream.send(opened.seal([FIN_FRAME]))
      } catch {
        // The connection is gone: there is nobody to be orderly for.
      }
      if (orderly) void opened.stream.closeWrite()
      else opened.stream.abort(new Error('the session is over'))
    }
    this.rouse()
  }

  async #run(): Promise<void> {
    const { name, outbox, port, clock, shared } = this.#options
    const opened = await port.openStream()
    const { stream, header, seal } = opened
    if (this.#ended) return stream.abort(new Error('the session is over'))

    // Each turn of this loop follows an await: `#ended` is looked at before anything is taken from the outbox.
    while (!this.#ended) {
      const burst = shared() ? BURST_SHARED : BURST
      let goesOn = true
      if (this.#opened === undefined && outbox.sendable) {
        // A record of its own, so that a full batch stays a full record.
        const { nextSequence: firstSequence, redeliveredThrough } = outbox
        goesOn = stream.send([header, ...seal([encodeOpen({ name, firstSequence, redeliveredThrough })])])
        this.#opened = opened
      }
      // Each record for itself: so it is one yamux frame and one Noise frame, which the receiver need not piece together.
      for (let bytes = 0; goesOn && bytes < burst; ) {
        const record = outbox.nextRecord()
        if (record === undefined) break
        const pieces = seal(record)
        for (const piece of pieces) bytes += piece.length
        goesOn = stream.send(pieces)
      }
      if (!goesOn) await stream.writable()
      else if (outbox.sendable) await new Promise<void>((resolve) => clock.setImmediate(resolve))
      else {
        await new Promise<void>((resolve) => {
          this.#asleep = resolve
        })
      }
    }
    if (this.#opened === undefined) stream.abort(new Error('the session is over'))
  }
}
