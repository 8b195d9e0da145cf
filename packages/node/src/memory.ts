import { markAsUntransferable } from 'node:worker_threads'

// Records pass through a buffer of their own at each stage, 64 KiB each time. Left to the garbage collector, they cost
// more than the encryption: V8 runs a whole collection for every few dozen megabytes of such memory. So the last user of a
// buffer detaches it at once.

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

/** The same for the buffer of `bytes`, if that holds nothing else, apart from at most `before` bytes in front of them. */
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
