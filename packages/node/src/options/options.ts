import type { Libp2pOptions as AllLibp2pOptions } from 'libp2p'
import type { Multiaddr } from '../address.ts'
import type { AddressBookStore } from '../address-book/store.ts'
import type { GlueberryError } from '../errors.ts'
import type { Identity } from '../identity.ts'
import type { Logger } from '../observe/logger.ts'
import type { Metrics } from '../observe/metrics.ts'
import type { PeerId } from '../peer-id.ts'
import type { HandshakePeer, Verdict } from '../session/application-handshake.ts'

/** libp2p's own options, for transports and services beyond TCP. */
export type Libp2pOptions = Pick<Partial<AllLibp2pOptions>, 'transports' | 'services' | 'peerDiscovery' | 'addresses'>

/** How lost peers are tried again. Durations are milliseconds. */
export interface ReconnectOptions {
  /** After so many attempts in a row without success a peer is given up (`closed`, `gave-up`); −1, the default: never. */
  maxAttempts?: number | undefined
  /** Before the first attempt after a loss. Default 0: at once. */
  firstDelay?: number | undefined
  /** Before the second one. Default 1 s. */
  baseDelay?: number | undefined
  /** The longest wait. Default 5 min. */
  maxDelay?: number | undefined
  /** By how much each further wait is longer than the one before. Default 2. */
  factor?: number | undefined
  /**
   * What chance does to every wait but the first. `'full'` (default) takes any part of it, so that many nodes that lost
   * the same peer do not come back together; `'none'` all of it; a number from 0 to 1 takes ± so much of it.
   */
  jitter?: 'full' | 'none' | number | undefined
  /** After so many failures in a row an address is tried no more, until it is given again. Default: it always is. */
  attemptsPerAddress?: number | undefined
  /** In place of all that: how long to wait before an attempt; `Infinity` waits for `connect`. Attempts count from 1. */
  delay?:
    | ((attempt: number, context: { readonly peerId: PeerId; readonly error: GlueberryError }) => number)
    | undefined
}

/** How a node is made. Durations are milliseconds, sizes bytes. */
export interface NodeOptions<S extends string> {
  /** This node's identity. Two running programs must not share one. */
  identity: Identity
  /** Names of the streams that this node accepts, at most `limits.streams`: 1 to 64 characters of `[A-Za-z0-9._-]`. */
  streams: readonly S[]
  /** Multiaddrs to listen on; port 0 takes a free one. Default: none, the node only dials. */
  listen?: readonly Multiaddr[] | undefined
  /** Nodes of different networks refuse one another. 1 to 64 characters, default `'default'`. */
  network?: string | undefined
  /**
   * The cipher of sessions, inside libp2p's Noise. Default: AES-256-GCM where it is faster for both nodes, which each
   * measures at its first session, within a millisecond; ChaCha20-Poly1305 otherwise. A node that is given
   * `'aes-256-gcm'` uses it with every peer that wants it too.
   */
  cipher?: 'chacha20-poly1305' | 'aes-256-gcm' | undefined
  /** Decides about each peer, after it has been authenticated. Default: accepts everyone. */
  handshake?: ((peer: HandshakePeer) => Promise<Verdict>) | undefined
  /**
   * Where peers are kept beyond the program: the path of a JSON file, which no other node may use, or a store of your
   * own. Its peers are connected at start and kept connected. Default: in memory only.
   */
  addressBook?: string | AddressBookStore | undefined
  /** How lost peers are tried again; `false`: not, `connect` is the program's to call. */
  reconnect?: false | ReconnectOptions | undefined
  /** Credit and buffers. */
  flow?:
    | {
        /** Credit that a peer gets for one name, in cost: a message costs its size + 256. Default 8 MiB. */
        window?: number | undefined
        /** What is accepted and kept for a peer that is away, in cost. Default 8 MiB. */
        sendBuffer?: number | undefined
        /** What `send` does when that is full: wait (default), or reject with `BUFFER_FULL`. */
        overflow?: 'wait' | 'error' | undefined
        /** What one peer's unread messages may take here, and as much may be kept for it while it is connected. Default 64 MiB. */
        peerBudget?: number | undefined
        /** What all peers' unread messages together may take here, and as much may be kept for all. Default 512 MiB. */
        nodeBudget?: number | undefined
      }
    | undefined
  /** How silence is noticed. */
  heartbeat?:
    | {
        /** A node pings a peer when neither has pinged the other for so long, and up to a quarter longer. Default 3 s. */
        interval?: number | undefined
        /** After how much silence a peer is taken for dead; more than `interval`. Default 9 s. */
        timeout?: number | undefined
      }
    | undefined
  /** How long things may take. */
  timeouts?:
    | {
        /** For a dial. Default 30 s. */
        connect?: number | undefined
        /** From an inbound connection to its session's first byte, of which Noise and yamux have 20 s; and from there until the session is established. Default 30 s each. */
        handshake?: number | undefined
        /** For `drain`. Default 30 s. */
        drain?: number | undefined
        /** How long messages are kept for a peer that is away and cannot be dialed. Default 10 min. */
        resume?: number | undefined
        /** How long a refused peer is left alone, and not admitted. Default 60 s. */
        cooldown?: number | undefined
        /** How long a session's keys are used before they are renewed. Default 1 h, at least 1 s. */
        session?: number | undefined
      }
    | undefined
  /** How much of things there may be. */
  limits?:
    | {
        /** The largest message, sent or accepted. Default 1 MiB, at most 64 MiB, and it must fit into `flow.window`. */
        messageSize?: number | undefined
        /** Connections at once. Default 300. */
        connections?: number | undefined
        /** Inbound connections that are not yet established; one more takes the place of the oldest of the origin that holds most, known peers' last. Default 64. */
        pendingConnections?: number | undefined
        /** The same, from one IPv4 address or IPv6 /64; one more is refused, unless one of them has taken more than a second. Default 8. */
        pendingPerAddress?: number | undefined
        /** Bytes that are held for everything that is not established, connections and sessions under way; beyond it the newest stranger goes. Default 16 MiB. */
        pendingMemory?: number | undefined
        /** Dials under way at once, apart from those that a call of `connect` waits for. Default 32. */
        backgroundDials?: number | undefined
        /** Calls of `send` that may wait for one peer and name. Default 1,024. */
        waitingSends?: number | undefined
        /** Events that are kept for one subscriber. Default 100. */
        eventBuffer?: number | undefined
        /** Metadata of one peer, as JSON. Default 4 KiB. */
        metadataSize?: number | undefined
        /** Names that this node accepts. Default and largest 64. */
        streams?: number | undefined
        /** How many bytes a session's keys protect before they are renewed. Default 2^36, at least 64 MiB; more where that is little beside eight largest messages for each name of both sides. */
        sessionBytes?: number | undefined
      }
    | undefined
  /** Default: warnings and errors go to stderr, each kind at most once in ten seconds; `false`: nowhere. `console` fits; pino takes its arguments the other way round: `info: (text, fields) => pino.info(fields, text)`. */
  logger?: Logger | false | undefined
  /** What is counted and measured goes there. Default: nowhere. */
  metrics?: Metrics | undefined
  /** Stops the node when it aborts. */
  signal?: AbortSignal | undefined
  /** Transports and services beyond TCP, as libp2p takes them. On one connection the remote may have 184 streams open, and ask for 128 streams and pings at once and 300 more in each second, those of services included. */
  libp2p?: Libp2pOptions | undefined
}
