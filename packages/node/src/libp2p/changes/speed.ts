import type { MessageStream, MultiaddrConnection, Stream } from '@libp2p/interface'
import type { Clock } from '../../clock.ts'
import { freeWhole, readBySocket } from '../../memory.ts'
import type { Changes } from './changes.ts'

// Places where js-libp2p spends more than all of our own work on a message (measured: docs/performance.md).

/** Free room in a socket's queue, in bytes: a few records, so that the writer need not stop after each. */
export const SOCKET_QUEUE: number = 256 * 1024

/** The address of a connection over TCP alone: another transport's connection may do more with what it sends. */
const TCP_ADDRESS = /^\/(ip4|ip6|dns[46]?)\/[^/]+\/tcp\/\d+(\/p2p\/[^/]+)?$/

/** The state of a yamux stream that both sides know. */
const ESTABLISHED = 3

interface Socket {
  cork(): void
  uncork(): void
  write(piece: Uint8Array, done: (error?: Error | null) => void): boolean
  prependListener(event: 'data', listener: (chunk: Uint8Array) => void): void
  on(event: 'data', listener: (chunk: Uint8Array) => void): void
  pause(): void
  resume(): void
  readonly writableNeedDrain: boolean
}

/**
 * A Noise frame comes in three pieces (length, ciphertext, tag), each of which would be a system call and a packet of its
 * own. Here they are one; and the memory of each goes back as soon as it is written, and of what is read when it is opened.
 */
export function gatherWrites(connection: MultiaddrConnection, changes: Changes): void {
  if (!TCP_ADDRESS.test(String(connection.remoteAddr))) return
  const tcp = connection as unknown as {
    readonly socket?: Partial<Socket>
    sendData?(pieces: Iterable<Uint8Array>): { sentBytes: number; canSendMore: boolean }
  }
  if (tcp.socket?.cork === undefined || tcp.sendData === undefined) return changes.miss('gathered writes')
  const socket = tcp.socket as Socket
  socket.prependListener('data', readBySocket)
  tcp.sendData = (pieces) => {
    let sentBytes = 0
    socket.cork()
    for (const piece of pieces) {
      sentBytes += piece.byteLength
      // What failed may still be on its way: that is left to the garbage collector.
      socket.write(piece, (error) => (error == null ? freeWhole(piece) : undefined))
    }
    socket.uncork()
    return { sentBytes, canSendMore: !socket.writableNeedDrain }
  }
}

/** How many bytes of one socket are read in a turn of the event loop, while others read as well. */
export const READ_SHARED: number = 64 * 1024
/** The same while no other socket reads: each pause costs some of the rate. */
export const READ_ALONE: number = 512 * 1024

/** A socket counts as alone after so many turns in which no other has read: one that reads little may be back in the next. */
const TURNS_ALONE = 32

/**
 * The sockets of one host take turns. libuv reads up to 2 MiB from a busy socket before it looks at the next one, and at
 * timers. With several busy sockets a turn of the event loop would last longer than a slice of `LoopShare`, and what was
 * read would grow old in memory. Unread bytes wait in the kernel, and slow their sender.
 */
export class ReadTurns {
  readonly #clock: Clock
  /** Bytes that each socket has brought in this turn. */
  readonly #read = new Map<Socket, number>()
  /** How many turns have passed in which only one socket read. */
  #turnsAlone = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  add(connection: MultiaddrConnection, changes: Changes): void {
    if (!TCP_ADDRESS.test(String(connection.remoteAddr))) return
    const tcp = connection as unknown as { readonly socket?: Partial<Socket>; readonly readStatus?: string }
    if (tcp.socket?.pause === undefined || tcp.socket.resume === undefined) return changes.miss('reads in turns')
    const socket = tcp.socket as Socket
    socket.on('data', ({ byteLength }) => {
      if (this.#mayGoOn(socket, byteLength)) return
      socket.pause()
      this.#clock.setImmediate(() => {
        if (tcp.readStatus !== 'paused') socket.resume()
      })
    })
  }

  #mayGoOn(socket: Socket, bytes: number): boolean {
    if (this.#read.size === 0) {
      this.#clock.setImmediate(() => {
        this.#turnsAlone = this.#read.size > 1 ? 0 : this.#turnsAlone + 1
        this.#read.clear()
      })
    }
    const read = (this.#read.get(socket) ?? 0) + bytes
    this.#read.set(socket, read)
    return read < (this.#turnsAlone >= TURNS_ALONE && this.#read.size === 1 ? READ_ALONE : READ_SHARED)
  }
}

/**
 * yamux tells the sender of new room at every frame: a frame back for each one, encrypted and sent before anyone sees what
 * came. Here it tells when half of the window is used, as the specification's own implementation does.
 */
export function announceHalves(stream: Stream, changes: Changes): void {
  const yamux = stream as unknown as {
    state?: unknown
    recvWindow?: number
    recvWindowCapacity?: number
    sendWindowUpdate?(): void
  }
  const { recvWindow, recvWindowCapacity, sendWindowUpdate } = yamux
  if (recvWindow === undefined || recvWindowCapacity === undefined || sendWindowUpdate === undefined)
    return changes.miss('halved window updates')
  yamux.sendWindowUpdate = () => {
    const { state, recvWindow, recvWindowCapacity } = yamux as Required<typeof yamux>
    if (state !== ESTABLISHED || recvWindowCapacity < recvWindow / 2) sendWindowUpdate.call(yamux)
  }
}

/** A stream of ours has a wide window from the start, because it is our credit that limits what a peer may send. */
export function widenWindow(stream: Stream, changes: Changes): void {
  const yamux = stream as unknown as { recvWindow?: number; maxStreamWindowSize?: number }
  const { recvWindow, maxStreamWindowSize } = yamux
  if (recvWindow === undefined || maxStreamWindowSize === undefined) return changes.miss('wide windows')
  yamux.recvWindow = maxStreamWindowSize
}

/** No frame of Noise is longer, in bytes, without the length before it. */
const NOISE_FRAME_MAX = 65_535

/**
 * After each frame libp2p's Noise reads the length of the next one; where that has not come, it makes an error, with a
 * stack, and catches it (16 µs of a round trip). Here a length that has not come reads as the largest: that waits as well.
 */
export function awaitLengths(connection: MessageStream, changes: Changes): void {
  const { decoder } = connection as {
    decoder?: { lengthDecoder?(data: { readonly byteLength: number }): number }
  }
  const read = decoder?.lengthDecoder
  if (decoder === undefined || read === undefined) return changes.miss('frame lengths')
  decoder.lengthDecoder = (data) => (data.byteLength < 2 ? NOISE_FRAME_MAX : read(data))
}

/**
 * libp2p lists all connections twice for each one that comes in, and each list copies itself with every peer: with six
 * thousand, half of a node's time. Here it is copied once.
 */
export function listOnce(libp2p: object, changes: Changes): void {
  const { components } = libp2p as {
    components?: {
      connectionManager?: {
        readonly connections?: { values?(): Iterable<readonly unknown[]> }
        getConnections?(peerId?: unknown): readonly unknown[]
      }
    }
  }
  const manager = components?.connectionManager
  const [connections, ofPeer] = [manager?.connections, manager?.getConnections]
  if (manager === undefined || connections?.values === undefined || ofPeer === undefined)
    return changes.miss('connection list')
  const { values } = connections
  manager.getConnections = (peerId) =>
    peerId === undefined ? Array.from(values.call(connections)).flat() : ofPeer.call(manager, peerId)
}

/** libp2p leaves its address manager's debounce timer behind: a second in which the process could not exit. */
export function leaveNoTimer(libp2p: object, changes: Changes): void {
  const { components } = libp2p as {
    components?: { addressManager?: { _updatePeerStoreAddresses?: { stop?(): void } } }
  }
  const debounced = components?.addressManager?._updatePeerStoreAddresses
  if (debounced?.stop === undefined) return changes.miss('exit timer')
  debounced.stop()
}
