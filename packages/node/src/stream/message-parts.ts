import { FRAME_HEADER_MAX } from '@glueberry/wire'
import { Owned } from '../memory.ts'

/** How many parts a message may have: each costs memory of its own, which no credit counts. */
const PARTS_EXTRA = 16
const PART_USUAL = 1024

/** How many parts a message of so many bytes may have. */
export function partsMax(messageSize: number): number {
  return PARTS_EXTRA + messageSize / PART_USUAL
}

/** Parts of a message that is not complete, each the end of a buffer of its own. */
export class MessageParts {
  #parts: Owned[] = []
  #bytes = 0

  get count(): number {
    return this.#parts.length
  }

  get bytes(): number {
    return this.#bytes
  }

  push(part: Uint8Array<ArrayBuffer>): void {
    this.#parts.push(new Owned(part, FRAME_HEADER_MAX))
    this.#bytes += part.length
  }

  /** Takes all of them and the last one as one message; their memory is freed. */
  join(last: Uint8Array): Uint8Array<ArrayBuffer> {
    const data = new Uint8Array(this.#bytes + last.length)
    let offset = 0
    for (const part of this.#parts) {
      data.set(part.bytes, offset)
      offset += part.bytes.length
      part.release()
    }
    data.set(last, offset)
    this.drop()
    return data
  }

  drop(): void {
    this.#parts = []
    this.#bytes = 0
  }
}
