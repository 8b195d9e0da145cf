// Records pass through a buffer of their own at each stage, 64 KiB each time. Left to the garbage collector, they cost
// more than the encryption: V8 runs a whole collection for every 64 MiB or so of such memory. So whoever is the last to
// look at one gives its memory back at once.

/** Smaller ones are not worth it, and may be a slice of what others use: Node gives out small buffers from a pool. */
const LEAST = 16 * 1024

/** Gives the memory of a buffer back; who still has a view of it finds it empty. */
export function free(buffer: ArrayBufferLike): void {
  if (buffer.byteLength >= LEAST && buffer instanceof ArrayBuffer) buffer.transfer(0)
}

/** The same for the buffer of `bytes`, if that holds nothing else, apart from at most `before` bytes in front of them. */
export function freeWhole({ buffer, byteOffset, byteLength }: Uint8Array, before = 0): void {
  if (byteOffset <= before && byteOffset + byteLength === buffer.byteLength) free(buffer)
}
