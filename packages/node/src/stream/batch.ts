import { FrameBuffer, FrameCursor, FrameType, MESSAGE_OVERHEAD } from '@glueberry/wire'
import { free, usedAfterRelease } from '../memory.ts'

/** A place between two frames of a batch, with what lies before it in that batch. */
export interface Mark {
  readonly offset: number
  /** The message that the next frame belongs to. */
  readonly sequence: number
  readonly bytes: number
  readonly cost: number
}

/** Encoded frames as they will be sealed: never an object per message. */
export class Batch {
  #buffer: FrameBuffer | undefined
  readonly start: Mark
  end: Mark
  /** The highest sequence of which it holds a part. */
  last: number
  next: Batch | undefined

  constructor(sequence: number, capacity: number) {
    this.#buffer = new FrameBuffer(capacity)
    this.start = { offset: 0, sequence, bytes: 0, cost: 0 }
    this.end = this.start
    this.last = sequence - 1
  }

  get #frames(): FrameBuffer {
    return this.#buffer ?? usedAfterRelease()
  }

  /** How many bytes of a message still fit, as one frame; negative when not even an empty one does. */
  get room(): number {
    return this.#frames.room
  }

  append(type: 'part' | 'message' | 'confirm', data: Uint8Array): number {
    const cost = type === 'part' ? data.length : data.length + MESSAGE_OVERHEAD
    this.#frames.append(
      type === 'part' ? FrameType.FRAGMENT : type === 'message' ? FrameType.MESSAGE : FrameType.CONFIRM,
      data,
    )
    const { sequence, bytes } = this.end
    this.last = sequence
    this.end = {
      offset: this.#frames.length,
      sequence: type === 'part' ? sequence : sequence + 1,
      bytes: bytes + data.length,
      cost: this.end.cost + cost,
    }
    return cost
  }

  /** The encoded frames between two marks; a view. */
  slice(from: Mark, to: Mark): Uint8Array {
    return this.#frames.bytes.subarray(from.offset, to.offset)
  }

  /** Nothing of it is needed any more: its memory goes back. */
  release(): void {
    free(this.#frames.bytes.buffer)
    this.#buffer = undefined
  }

  /** Goes from `mark` frame by frame, as long as `passes` says so of where a frame ends and where it began. */
  walk(mark: Mark, passes: (to: Mark, from: Mark) => boolean): Mark {
    const cursor = new FrameCursor(this.#frames.bytes)
    cursor.end = mark.offset
    let at = mark
    while (cursor.next()) {
      const size = cursor.end - cursor.start
      const whole = cursor.type !== FrameType.FRAGMENT
      const next = {
        offset: cursor.end,
        sequence: whole ? at.sequence + 1 : at.sequence,
        bytes: at.bytes + size,
        cost: at.cost + size + (whole ? MESSAGE_OVERHEAD : 0),
      }
      if (!passes(next, at)) break
      at = next
    }
    return at
  }
}
