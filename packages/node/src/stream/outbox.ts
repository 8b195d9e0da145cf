import { FRAME_HEADER_MAX, MESSAGE_OVERHEAD, RECORD_PLAINTEXT_MAX } from '@glueberry/wire'
import { Batch, type Mark } from './batch.ts'
import type { CreditPool } from './credit-pool.ts'
import { SendCredit } from './send-credit.ts'

/** The largest message that is kept in one frame; a larger one is cut into fragments. */
const WHOLE_MAX = RECORD_PLAINTEXT_MAX - FRAME_HEADER_MAX
/** Not worth a fragment: a large message begins in the next batch instead. */
const FRAGMENT_MIN = 1024
const SMALLEST_BATCH = 256

/** How far a receiver is, as its READY says. */
export interface SessionStart {
  /** Credit of all names together, beyond the limit of each. */
  readonly pool: CreditPool
  readonly received: number
  readonly consumed: number
  /** The receiver has forgotten this instance: send again, marked as redelivered, what it may have had. */
  readonly forgotten: boolean
}

/** Where in the batches something is. */
interface Place {
  readonly batch: Batch
  readonly mark: Mark
}

/** What was given up. */
export interface Abandoned {
  readonly from: number
  readonly count: number
}

/**
 * Messages for one peer and name, from `append` until their consumption is acknowledged: sequence numbers, credit, and
 * where the writer is. No I/O and no waiting; docs/protocol.md, "Flow control" and "Resume".
 */
export class Outbox {
  #head: Batch | undefined
  #tail: Batch | undefined
  /** What of the first batch is not yet consumed begins here. */
  #headMark: Mark = { offset: 0, sequence: 1, bytes: 0, cost: 0 }
  /** What the writer sends next. Without a batch: the beginning of the first one. */
  #cursor: Place | undefined
  #assigned = 0 // last sequence given to a message
  #written = 0 // highest sequence that was ever written whole
  #skippedThrough = 0 // highest sequence that an OPEN passed over
  #claimable = 0 // highest sequence that the peer can have received by what this session has written
  #consumed = 0
  #redeliveredThrough = 0
  #bytes = 0 // kept
  #queued = 0 // cost of what is kept and not written in this session
  readonly #credit = new SendCredit()
  #progress = 0
  /** How many acknowledgements of this session may still raise the limit alone and count as progress. */
  #grants = 0

  /** @param last sequence of the last message that was sent before, all of them consumed */
  constructor(last = 0) {
    this.#assigned = last
    this.#written = last
    this.#consumed = last
    this.#headMark = { ...this.#headMark, sequence: last + 1 }
  }

  /** Sequence of the message that was appended last; 0 before the first. */
  get lastSequence(): number {
    return this.#assigned
  }

  /** Highest sequence that the peer's application has consumed, or that was given up. */
  get consumed(): number {
    return this.#consumed
  }

  get messages(): number {
    return this.#assigned - this.#consumed
  }

  /** Bytes of the messages that are kept. */
  get bytes(): number {
    return this.#bytes
  }

  /** How many acknowledgements have brought anything: a message was consumed. */
  get progress(): number {
    return this.#progress
  }

  /** Cost of the messages that are kept. */
  get cost(): number {
    return this.#bytes + this.messages * MESSAGE_OVERHEAD
  }

  /** Size of the largest message that is kept; looks at each. */
  largest(): number {
    let largest = 0
    let whole = 0 // of the message whose parts are being added up
    let sequence = this.#headMark.sequence
    for (let batch = this.#head; batch !== undefined; batch = batch.next) {
      batch.walk(batch === this.#head ? this.#headMark : batch.start, (to, from) => {
        if (from.sequence !== sequence) whole = 0
        sequence = from.sequence
        whole += to.bytes - from.bytes
        largest = Math.max(largest, whole)
        return true
      })
    }
    return largest
  }

  /** Highest sequence that may have been delivered before the peer forgot. */
  get redeliveredThrough(): number {
    return this.#redeliveredThrough
  }

  /** The next message to be written: what OPEN names as the first one. */
  get nextSequence(): number {
    const cursor = this.#cursor
    if (cursor !== undefined) return cursor.mark.sequence
    return this.#head?.start.sequence ?? this.#assigned + 1
  }

  /** Whether this session's credit leaves room for one more message of `size` bytes, behind all that is queued. */
  fits(size: number): boolean {
    return this.#queued - this.#credit.begun + size + MESSAGE_OVERHEAD <= this.#credit.left
  }

  /** Whether half of the most room that there was in this session is free again; or nothing is kept: there may be less now. */
  get belowLowMark(): boolean {
    const { left, begun, most } = this.#credit
    return this.messages === 0 || left - this.#queued + begun >= most / 2
  }

  /** Whether something is queued that the credit allows to be sent now. */
  get sendable(): boolean {
    if (this.#queued === 0) return false
    if (this.#credit.begun > 0 || this.#credit.left >= this.#queued) return true
    const place = this.#place()
    return place !== undefined && this.#costOfMessage(place) <= this.#credit.left
  }

  /** Copies one message in; returns its sequence. */
  append(data: Uint8Array, confirm: boolean): number {
    const sequence = this.#assigned + 1
    const type = confirm ? 'confirm' : 'message'
    let rest = data
    for (;;) {
      let batch = this.#tail
      const room = batch?.room ?? -1
      const fragment = rest.length > room && rest.length > WHOLE_MAX && room >= FRAGMENT_MIN
      if (batch === undefined || (rest.length > room && !fragment)) batch = this.#addBatch(sequence, rest.length)
      if (rest.length <= batch.room) {
        this.#queued += batch.append(type, rest)
        break
      }
      const part = rest.subarray(0, batch.room)
      this.#queued += batch.append('part', part)
      rest = rest.subarray(part.length)
    }
    this.#assigned = sequence // last: memory for a copy may not be there
    this.#bytes += data.length
    return sequence
  }

  /**
   * A session is established: goes back to what the receiver has not received.
   * Returns false when the receiver claims what it cannot have.
   */
  begin({ pool, received, consumed, forgotten }: SessionStart): boolean {
    if (received > Math.max(this.#written, this.#skippedThrough)) return false
    if (forgotten) this.#redeliveredThrough = this.#written
    this.#drop(consumed)
    this.#credit.begin(pool)
    this.#rewind(Math.max(received, this.#consumed))
    this.#claimable = Math.max(received, this.nextSequence - 1)
    this.#grants = this.#claimable - this.#consumed
    this.#skippedThrough = Math.max(this.#skippedThrough, this.nextSequence - 1)
    return true
  }

  /**
   * The peer acknowledges. Returns false when it has consumed what it cannot have received.
   * A limit or position behind the present one changes nothing.
   */
  acknowledge(consumed: number, limit: number): boolean {
    if (consumed > Math.max(this.#claimable, this.#consumed)) return false
    if (consumed > this.#consumed) this.#progress++
    else if (limit > this.#credit.limit && this.#grants > 0) {
      // A message was consumed before an earlier one: there are no more of these than messages that the peer has.
      this.#progress++
      this.#grants--
    }
    this.#credit.grant(limit)
    this.#drop(consumed)
    return true
  }

  /** The limit to ask for, if any, and what is given back before. @param waiting cost of what is not yet accepted, and of the first of it */
  want(waiting: { readonly first: number; readonly all: number }): ReturnType<SendCredit['want']> {
    const place = this.#place()
    const next = place === undefined ? waiting.first : this.#costOfMessage(place)
    const wanted = this.#credit.want(next, this.#queued + waiting.all, this.cost - this.#queued)
    this.#grants += wanted === undefined ? 0 : 1
    return wanted
  }

  /** Gives back the credit of this name when nothing is kept. Returns how much that is in this session in total, or `undefined` for nothing. */
  giveBack(): number | undefined {
    return this.messages === 0 && this.holdsCredit ? this.#credit.giveBack() : undefined
  }

  /** Whether there is credit to give back. */
  get holdsCredit(): boolean {
    return this.#credit.unused > 0
  }

  /** No session: nothing can be written. */
  pause(): void {
    this.#credit.end()
  }

  /** The plaintext of the next record, in parts, as far as the credit goes; moves past it. */
  nextRecord(): Uint8Array[] | undefined {
    const parts: Uint8Array[] = []
    let left = RECORD_PLAINTEXT_MAX
    for (let place = this.#place(); place !== undefined && left > 0; place = this.#place()) {
      const { batch, mark } = place
      const to = this.#writable(place, left)
      if (to.offset === mark.offset) break
      parts.push(batch.slice(mark, to))
      left -= to.offset - mark.offset
      this.#queued -= to.cost - mark.cost
      this.#written = Math.max(this.#written, to.sequence - 1)
      this.#grants += Math.max(0, to.sequence - 1 - this.#claimable)
      this.#claimable = Math.max(this.#claimable, to.sequence - 1)
      this.#cursor = { batch, mark: to }
      if (to.offset !== batch.end.offset) break
    }
    return parts.length === 0 ? undefined : parts
  }

  /** Gives everything up that is kept; sequence numbers go on behind it. */
  abandon(): Abandoned | undefined {
    if (this.messages === 0) return undefined
    const abandoned = { from: this.#consumed + 1, count: this.messages }
    this.#drop(this.#assigned)
    this.#queued = 0
    this.#credit.abandon()
    return abandoned
  }

  /** How far of this batch may be written, as one record or the rest of one; spends that. A message begins only when there is credit for all of it. */
  #writable({ batch, mark }: Place, left: number): Mark {
    const credit = this.#credit
    const { end } = batch
    const rest = end.cost - mark.cost
    const whole = credit.begun === 0 && end.sequence > batch.last // no message goes on before it, or behind it
    if (whole && end.offset - mark.offset <= left && credit.start(rest)) {
      credit.spend(rest)
      return end
    }
    return batch.walk(mark, (to, from) => {
      if (to.offset - mark.offset > left) return false
      const cost = to.cost - from.cost
      const all = (): number => (to.sequence > from.sequence ? cost : this.#costOfMessage({ batch, mark: from }))
      if (credit.begun === 0 && !credit.start(all())) return false
      credit.spend(cost)
      return true
    })
  }

  /** Cost of the whole message that begins here. */
  #costOfMessage({ batch, mark }: Place): number {
    let cost = 0
    for (let at: Batch | undefined = batch; at !== undefined; at = at.next) {
      const from = at === batch ? mark : at.start
      let whole = false
      at.walk(from, (to, before) => {
        if (whole) return false
        cost += to.cost - before.cost
        whole = to.sequence > before.sequence
        return true
      })
      if (whole) break
    }
    return cost
  }

  #addBatch(sequence: number, size: number): Batch {
    const batch = new Batch(sequence, Math.max(SMALLEST_BATCH, Math.min(size + FRAME_HEADER_MAX, RECORD_PLAINTEXT_MAX)))
    if (this.#tail === undefined) {
      this.#head = batch
      this.#headMark = batch.start
    } else {
      this.#tail.next = batch
    }
    this.#tail = batch
    return batch
  }

  /** Where there is something to write, if there is. */
  #place(): Place | undefined {
    const cursor = this.#cursor
    let batch = cursor?.batch ?? this.#head
    let mark = cursor?.mark ?? batch?.start
    while (batch !== undefined && mark !== undefined && mark.offset === batch.end.offset) {
      batch = batch.next
      mark = batch?.start
    }
    return batch === undefined || mark === undefined ? undefined : { batch, mark }
  }

  #drop(consumed: number): void {
    if (consumed <= this.#consumed) return
    this.#consumed = consumed
    let head = this.#head
    while (head !== undefined && head.last <= consumed) {
      this.#bytes -= head.end.bytes - this.#headMark.bytes
      if (this.#cursor?.batch === head) this.#cursor = undefined
      head.release()
      head = head.next
      this.#head = head
      if (head !== undefined) this.#headMark = head.start
    }
    if (head === undefined) {
      this.#tail = undefined
      return
    }
    const mark = head.walk(this.#headMark, (_, from) => from.sequence <= consumed)
    this.#bytes -= mark.bytes - this.#headMark.bytes
    this.#headMark = mark
  }

  #rewind(received: number): void {
    let batch = this.#head
    while (batch !== undefined && batch.last <= received) batch = batch.next
    if (batch === undefined) {
      this.#cursor = this.#tail === undefined ? undefined : { batch: this.#tail, mark: this.#tail.end }
      this.#queued = 0
      return
    }
    const mark = batch.walk(batch.start, (_, from) => from.sequence <= received)
    this.#cursor = { batch, mark }
    this.#queued = batch.end.cost - mark.cost
    for (let next = batch.next; next !== undefined; next = next.next) this.#queued += next.end.cost
  }
}
