import { markAsUntransferable } from 'node:worker_threads'

// Records pass through a buffer of their own at each stage, 64 KiB each time. Left to the garbage collector, they cost
// more than the encryption: V8 runs a whole collection for every few dozen megabytes of such memory. So the last user of a
// buffer detaches it at once. In our own code that user is an owner: `Owned`, a batch, what a stream has received. Only in
// `libp2p/`, where libp2p passes plain arrays on, functions free them.

/** Smaller ones are not worth it. */
const LEAST = 16 * 1024

/** Detaches a buffer, which frees its memory at once; a view of it becomes empty. */
export function free(buffer: ArrayBufferLike): void {
  if (buffer.byteLength < LEAST || !(buffer instanceof ArrayBuffer)) return
  try {
    buffer.transfer(0)
  } catch {
    // WebAssembly's memory, for example, cannot be given back: the garbage collector knows what to do.
  }
}

/**
 * Bytes whose memory goes back before the garbage collector would see it: what is taken (`bytes`) is used before
 * `release`, which the owner calls once. `before` bytes in front of them in their buffer are done with as well.
 */
export class Owned {
  #bytes: Uint8Array<ArrayBuffer> | undefined
  readonly #before: number

  constructor(bytes: Uint8Array<ArrayBuffer>, before = 0) {
    this.#bytes = bytes
    this.#before = before
  }

  /** @throws Error after the release */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes ?? usedAfterRelease()
  }

  /** Detaches the buffer, if it holds nothing else. */
  release(): void {
    freeWhole(this.bytes, this.#before)
    this.#bytes = undefined
  }
}

export function usedAfterRelease(): never {
  throw new Error('memory is used after its release')
}

/** Detaches the buffer of `bytes`, if that holds nothing else, apart from at most `before` bytes in front of them. */
export function freeWhole({ buffer, byteOffset, byteLength }: Uint8Array, before = 0): void {
  if (byteOffset <= before && byteOffset + byteLength === buffer.byteLength) free(buffer)
}

/** Several messages share this buffer: transferring it to a worker with one of them throws, instead of taking the others' bytes along. */
export function share(buffer: ArrayBuffer): void {
  markAsUntransferable(buffer)
}

const socketReads = new WeakSet<ArrayBufferLike>()

/** A socket has read this, into a buffer that is only libp2p's. */
export function readBySocket(chunk: Uint8Array): void {
  if (chunk.buffer.byteLength >= LEAST) socketReads.add(chunk.buffer)
}

/** Frees what a socket has read, if `bytes` are the end of it: what came before them must be done with. */
export function freeRead({ buffer, byteOffset, byteLength }: Uint8Array): void {
  if (byteOffset + byteLength === buffer.byteLength && socketReads.has(buffer)) free(buffer)
}
