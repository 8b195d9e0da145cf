import { FrameBuffer, FrameCursor, FrameType, MESSAGE_OVERHEAD } from '@glueberry/wire'

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
  readonly frames: FrameBuffer
  readonly start: Mark
  end: Mark
  /** The highest sequence of which it holds a part. */
  last: number
  next: Batch | undefined

  constructor(sequence: number, capacity: number) {
    this.frames = new FrameBuffer(capacity)
    this.start = { offset: 0, sequence, bytes: 0, cost: 0 }
    this.end = this.start
    this.last = sequence - 1
  }

  append(type: 'part' | 'message' | 'confirm', data: Uint8Array): number {
    const cost = type === 'part' ? data.length : data.length + MESSAGE_OVERHEAD
    this.frames.append(
      type === 'part' ? FrameType.FRAGMENT : type === 'message' ? FrameType.MESSAGE : FrameType.CONFIRM,
      data,
    )
    const { sequence, bytes } = this.end
    this.last = sequence
    this.end = {
      offset: this.frames.length,
      sequence: type === 'part' ? sequence : sequence + 1,
      bytes: bytes + data.length,
      cost: this.end.cost + cost,
    }
    return cost
  }

  /** Goes from `mark` frame by frame, as long as `passes` says so of where a frame ends and where it began. */
  walk(mark: Mark, passes: (to: Mark, from: Mark) => boolean): Mark {
    const cursor = new FrameCursor(this.frames.bytes)
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
