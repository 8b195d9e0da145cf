import type {
  ConnectionEncrypter,
  ConnectionProtector,
  MessageStream,
  StreamMessageEvent,
  StreamMuxer,
  StreamMuxerFactory,
} from '@libp2p/interface'
import { Allowance } from './allowance.ts'
import type { Clock } from './clock.ts'
import { GlueberryError } from './errors.ts'
import { Negotiation } from './libp2p-negotiation.ts'
import { YamuxRequests } from './yamux-requests.ts'

// What a stranger can make js-libp2p do for it, before any of our own code sees him, is limited here.
//
// Each protocol is agreed on by multistream-select, where libp2p reads the length of a message byte by byte, for as long
// as the bytes do not end it: 64 KiB of 0xff hold the event loop for half a second. It also answers any number of
// proposals. So each negotiation is watched until a protocol is agreed on.
//
// And a ping or a new stream costs 12 bytes: asked for without end, with no more than some streams open at once, they
// leave no time for anything else (as in HTTP/2: CVE-2023-44487, "rapid reset").

/** Pings and new streams on one connection, at once and in each second: a peer has 64 names, and all begin anew when keys are renewed. */
const [REQUESTS, REQUESTS_PER_SECOND] = [256, 100]

/** Watches connections that have just begun, for both sides. */
export function guardConnections(encrypter: string): ConnectionProtector {
  return {
    async protect(connection) {
      guard(connection, (protocol) => protocol === encrypter)
      return connection
    },
  }
}

/** Watches connections that this has encrypted and whose muxer was not agreed on with that. */
export function guardEncrypter(encrypter: ConnectionEncrypter, muxer: string): ConnectionEncrypter {
  const secure =
    (direction: 'secureInbound' | 'secureOutbound'): ConnectionEncrypter['secureInbound'] =>
    async (connection, options) => {
      const secured = await encrypter[direction](connection, options)
      if (secured.streamMuxer === undefined && options?.skipStreamMuxerNegotiation !== true) {
        guard(secured.connection, (protocol) => protocol === muxer)
      }
      return secured
    }
  return {
    protocol: encrypter.protocol,
    secureInbound: secure('secureInbound'),
    secureOutbound: secure('secureOutbound'),
  }
}

/** Watches all streams of connections, and counts what the remote asks of yamux. @param protocols that it may open streams with, at this moment */
export function guardMuxer(
  yamux: StreamMuxerFactory,
  clock: Clock,
  protocols: () => readonly string[],
): StreamMuxerFactory {
  return {
    protocol: yamux.protocol,
    createStreamMuxer(connection): StreamMuxer {
      limitRequests(connection, new Allowance(clock, REQUESTS, REQUESTS_PER_SECOND))
      const muxer = yamux.createStreamMuxer(connection)
      aheadOfFirst(muxer, 'stream', () => {
        muxer.addEventListener('stream', ({ detail }) => guard(detail, (protocol) => protocols().includes(protocol)))
      })
      const createStream = muxer.createStream.bind(muxer)
      muxer.createStream = async (options) => {
        const stream = await createStream(options)
        // Where several are proposed, the first that is not refused ends it.
        guard(stream, (protocol) => protocol === (options?.protocol ?? protocol) && protocol !== 'na')
        return stream
      }
      return muxer
    },
  }
}

function limitRequests(connection: MessageStream, allowance: Allowance): void {
  const requests = new YamuxRequests()
  const watch = (event: StreamMessageEvent): void => {
    const pieces = event.data instanceof Uint8Array ? [event.data] : event.data
    for (const piece of pieces) {
      if (allowance.take(requests.count(piece))) continue
      event.stopImmediatePropagation()
      return connection.abort(new GlueberryError('PROTOCOL', 'pings or streams of yamux without end'))
    }
  }
  aheadOfFirst(connection, 'message', () => connection.addEventListener('message', watch))
}

function guard(stream: MessageStream, agreed: (protocol: string) => boolean): void {
  const negotiation = new Negotiation(agreed)
  const watch = (event: StreamMessageEvent): void => {
    try {
      if (negotiation.over(event.data.subarray())) stream.removeEventListener('message', watch)
    } catch (error) {
      event.stopImmediatePropagation()
      stream.abort(error as Error)
    }
  }
  aheadOfFirst(stream, 'message', () => stream.addEventListener('message', watch))
}

/**
 * Adds a listener when the first other one is added, and before it: what has come until then waits for a listener, and
 * would be lost if ours were there alone.
 */
function aheadOfFirst(
  target: { addEventListener: (type: never, ...rest: never[]) => void },
  first: string,
  add: () => void,
): void {
  const original = target.addEventListener
  target.addEventListener = (type, ...rest) => {
    if (type === first) {
      target.addEventListener = original
      add()
    }
    original.call(target, type, ...rest)
  }
}
