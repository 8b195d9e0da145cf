import type {
  ConnectionEncrypter,
  ConnectionProtector,
  MessageStream,
  StreamMessageEvent,
  StreamMuxer,
  StreamMuxerFactory,
} from '@libp2p/interface'
import type { Clock } from '../../clock.ts'
import { Allowance } from '../../limits/allowance.ts'
import type { Changes } from './changes.ts'
import { openEarly } from './early-streams.ts'
import { Frames, violation } from './frames.ts'
import { Negotiation } from './negotiation.ts'
import { announceHalves, awaitLengths } from './speed.ts'

// What a stranger can make js-libp2p do, before any of our own code sees him, is limited here: ARCHITECTURE.md says what
// that would be. Whatever comes is looked at on its way to libp2p, at each of its layers; what nobody would need to send
// ends the connection, or the stream on which it came.

/** A Noise frame: a length of two bytes, and a message, which has a tag (Noise specification, section 3). */
const NOISE_FRAME_MIN = 17
/** Shorter ones have no room for a header of yamux. */
const NOISE_FRAME_TINY = 28
/** A TCP segment is larger than that. */
const NOISE_BYTES_PER_PIECE = 64

/** The header of a yamux frame, in bytes (https://github.com/hashicorp/yamux/blob/master/spec.md). */
export const YAMUX_HEADER = 12
const DATA = 0
/** A new stream, or a ping that wants an answer. */
const SYN = 1
/** Data of one frame, where all streams are ours: a record, and what waited with it for room in the window. */
export const YAMUX_FRAME_MAX: number = 256 * 1024
/** Nobody is given a larger window (host.ts): so no frame of another service's stream is longer. */
export const YAMUX_WINDOW_MAX: number = 4 * 1024 * 1024
const YAMUX_BYTES_PER_PIECE = 1024
/** Shorter data than any record of ours, in bytes. */
const YAMUX_DATA_TINY = 19
/**
 * What a remote makes us do for a few bytes: a ping or a new stream, a tiny frame, and one without data. What each costs,
 * and how much may come at once and in each second. (A peer has 64 names, and all begin anew when its keys are renewed.)
 */
const [REQUEST_COST, TINY_COST, EMPTY_COST] = [300, 20, 3]
const [COST_MAX, COST_PER_SECOND] = [128 * REQUEST_COST, 300 * REQUEST_COST]

/** Looks at what comes. */
interface Reader {
  /** Throws when that may not come. */
  read(bytes: Uint8Array): void
}

/** What listeners are added to, whatever it tells them. */
interface Target {
  addEventListener: (type: never, ...rest: never[]) => void
  removeEventListener: (type: never, ...rest: never[]) => void
}

/** Is told how many bytes more of frames that are not whole a connection has, or less. */
type Hold = (bytes: number) => void

/** What the connections that come out of the encrypter are told of: those that went in. */
const holds = new WeakMap<MessageStream, Hold>()
const HOLDS_NOTHING: Hold = () => undefined

/**
 * Guards connections to their last byte: what agrees on encryption first, then the frames that are encrypted.
 *
 * @param holdOf finds the callback that counts what is kept of a connection's frames, if there is one
 */
export function guardConnections(
  encrypter: string,
  clock: Clock,
  holdOf: (connection: MessageStream) => Hold | undefined,
): ConnectionProtector {
  return {
    async protect(connection) {
      const hold = holdOf(connection) ?? HOLDS_NOTHING
      holds.set(connection, hold)
      const allowance = new Allowance(clock, COST_MAX, COST_PER_SECOND)
      let negotiation: Negotiation | undefined
      guard(connection, () => {
        if (negotiation !== undefined) return noiseFrames(allowance, hold)
        negotiation = new Negotiation((protocol) => protocol === encrypter)
        return negotiation
      })
      return connection
    },
  }
}

/** Guards what agrees on a muxer, on connections that this has encrypted and that have not agreed on it with that. */
export function guardEncrypter(encrypter: ConnectionEncrypter, muxer: string, changes: Changes): ConnectionEncrypter {
  const secure =
    (direction: 'secureInbound' | 'secureOutbound'): ConnectionEncrypter['secureInbound'] =>
    async (connection, options) => {
      const secured = await encrypter[direction](connection, options)
      holds.set(secured.connection, holds.get(connection) ?? HOLDS_NOTHING)
      awaitLengths(secured.connection, changes)
      if (secured.streamMuxer === undefined && options?.skipStreamMuxerNegotiation !== true) {
        guardNegotiation(secured.connection, (protocol) => protocol === muxer)
      }
      return secured
    }
  return Object.assign(Object.create(encrypter), {
    secureInbound: secure('secureInbound'),
    secureOutbound: secure('secureOutbound'),
  })
}

/**
 * Guards the frames of yamux, and what agrees on the protocol of each stream.
 *
 * @param frameMax the longest data of a frame, in bytes: yamux buffers all of it
 * @param protocols that the remote may open streams with, at this moment
 * @param early protocols whose streams are opened without waiting for the remote's answer
 */
export function guardMuxer(
  yamux: StreamMuxerFactory,
  clock: Clock,
  frameMax: number,
  protocols: () => readonly string[],
  early: ReadonlySet<string>,
  changes: Changes,
): StreamMuxerFactory {
  const createStreamMuxer = (connection: MessageStream): StreamMuxer => {
    const allowance = new Allowance(clock, COST_MAX, COST_PER_SECOND)
    guard(connection, () => yamuxFrames(allowance, frameMax, holds.get(connection) ?? HOLDS_NOTHING))
    const send = connection.send.bind(connection)
    connection.send = (data) => {
      // yamux sends a stream's SYN in a microtask, where nobody catches that the connection was closed meanwhile.
      if (connection.status !== 'open') return false
      allowance.give(EMPTY_COST) // a remote may answer each frame with one that announces room
      return send(data)
    }
    const muxer = yamux.createStreamMuxer(connection)
    const target: Target = muxer
    const { addEventListener } = target
    // Added right before the first listener: alone it would take the streams that wait for one.
    target.addEventListener = (type, ...rest) => {
      if (type === 'stream') {
        target.addEventListener = addEventListener
        muxer.addEventListener('stream', ({ detail }) => {
          announceHalves(detail, changes)
          guardNegotiation(detail, (protocol) => protocols().includes(protocol))
        })
      }
      addEventListener.call(target, type, ...rest)
    }
    const createStream = muxer.createStream.bind(muxer)
    muxer.createStream = async (options) => {
      const stream = await createStream(options)
      announceHalves(stream, changes)
      const protocol = options?.protocol
      if (protocol !== undefined && early.has(protocol) && openEarly(stream, protocol, changes)) return stream
      // libp2p does not say here which protocols it proposes if a service of the user's has several: then any answer but
      // a no ends this, and what a hostile answer makes of it is known (docs/security.md).
      guardNegotiation(stream, (answer) => answer === (protocol ?? answer) && answer !== 'na')
      return stream
    }
    return muxer
  }
  return Object.assign(Object.create(yamux), { createStreamMuxer })
}

function noiseFrames(allowance: Allowance, hold: Hold): Frames {
  return new Frames({
    layer: 'Noise',
    hold,
    headerLength: 2,
    begin(header) {
      const length = new DataView(header.buffer).getUint16(0)
      if (length < NOISE_FRAME_MIN) throw violation(`Noise: a frame of ${length} bytes`)
      if (length < NOISE_FRAME_TINY && !allowance.take(TINY_COST)) throw violation('Noise: tiny frames without end')
      return length
    },
    bytesPerPiece: NOISE_BYTES_PER_PIECE,
  })
}

function yamuxFrames(allowance: Allowance, frameMax: number, hold: Hold): Frames {
  return new Frames({
    layer: 'yamux',
    hold,
    headerLength: YAMUX_HEADER,
    begin(header) {
      const [, type, , flags] = header as unknown as [number, number, number, number]
      const length = type === DATA ? new DataView(header.buffer).getUint32(8) : 0
      if (length > frameMax) throw violation(`yamux: a frame of ${length} bytes`)
      const cost = costOf(flags, length)
      if (cost > 0 && !allowance.take(cost)) throw violation('yamux: pings, streams or tiny frames without end')
      return length
    },
    bytesPerPiece: YAMUX_BYTES_PER_PIECE,
  })
}

function costOf(flags: number, length: number): number {
  if ((flags & SYN) !== 0) return REQUEST_COST
  if (length === 0) return EMPTY_COST
  return length < YAMUX_DATA_TINY ? TINY_COST : 0
}

function guardNegotiation(stream: MessageStream, agreed: (protocol: string) => boolean): void {
  let negotiation: Negotiation | undefined
  guard(stream, () => {
    if (negotiation !== undefined) return undefined
    negotiation = new Negotiation(agreed)
    return negotiation
  })
}

/**
 * Shows everything to a reader before any listener. The listener of a stream is replaced when a layer has done its part,
 * and what it has left unread comes again: so each time there is another reader, until `next` has none.
 */
function guard(stream: MessageStream, next: () => Reader | undefined): void {
  const target: Target = stream
  const { addEventListener, removeEventListener } = target
  let reader: Reader | undefined
  let over = false
  const look = (event: StreamMessageEvent): void => {
    try {
      for (const piece of event.data instanceof Uint8Array ? [event.data] : event.data) reader?.read(piece)
    } catch (error) {
      event.stopImmediatePropagation()
      stream.abort(error as Error)
    }
  }
  // Never there alone: what comes while nobody listens waits, and would be lost.
  target.addEventListener = (type, ...rest) => {
    if (type === 'message' && !over && stream.listenerCount('message') === 0) {
      reader = next()
      over = reader === undefined
      if (!over) addEventListener.call(target, 'message' as never, look as never)
    }
    addEventListener.call(target, type, ...rest)
  }
  target.removeEventListener = (type, ...rest) => {
    removeEventListener.call(target, type, ...rest)
    if (type === 'message' && stream.listenerCount('message') === 1)
      removeEventListener.call(target, 'message' as never, look as never)
  }
}
