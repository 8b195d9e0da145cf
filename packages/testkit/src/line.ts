/** What a line does to the bytes that pass it, in one direction. */
export interface LineProfile {
  /** How long they take, in milliseconds. */
  readonly delay: number
  /** Each piece takes up to so much longer, in milliseconds; none overtakes another. */
  readonly jitter?: number
  /** How many bits pass in a second, at most. */
  readonly rate?: number
  /** Again and again nothing passes for a while, as when TCP repeats what was lost; both in milliseconds. */
  readonly stall?: { readonly every: number; readonly duration: number }
}

/** So much waits at the slow end before who sends must wait, in bytes. */
const QUEUE = 64 * 1024
/** The size of a piece on a line of limited rate, in bytes: about a packet. */
const PIECE = 1400

/** A slow line, in one direction: what is sent arrives later, in order. */
export class Line {
  readonly #profile: LineProfile
  readonly #random: () => number
  readonly #arrive: (bytes: Buffer) => void
  readonly #begun = performance.now()
  /** What is under way, the oldest first. */
  readonly #queue: { readonly bytes: Buffer; readonly due: number }[] = []
  #free = 0 // when everything has been put on the line
  #last = 0 // when the last piece arrives
  #waiting = 0 // bytes not yet on the line
  #timer: NodeJS.Timeout | undefined
  #drained: (() => void) | undefined

  constructor(profile: LineProfile, random: () => number, arrive: (bytes: Buffer) => void) {
    this.#profile = profile
    this.#random = random
    this.#arrive = arrive
  }

  /** Whether more may be sent now; if not, `drained` is called when it may. */
  send(bytes: Buffer, drained: () => void): boolean {
    const { rate } = this.#profile
    const size = rate === undefined ? bytes.length : PIECE
    for (let at = 0; at < bytes.length; at += size) this.#put(bytes.subarray(at, at + size))
    if (this.#backlog() <= QUEUE) return true
    this.#drained = drained
    return false
  }

  /** Calls `done` when everything has arrived. */
  end(done: () => void): void {
    setTimeout(done, Math.max(0, this.#last - performance.now()))
  }

  /** Whatever is under way is gone. */
  close(): void {
    clearTimeout(this.#timer)
    this.#queue.length = 0
  }

  #put(bytes: Buffer): void {
    const { delay, jitter = 0, rate, stall } = this.#profile
    const now = performance.now()
    this.#free = Math.max(now, this.#free) + (rate === undefined ? 0 : (bytes.length * 8000) / rate)
    let due = Math.max(this.#last, this.#free + delay + this.#random() * jitter)
    if (stall !== undefined) {
      const into = (due - this.#begun) % stall.every
      if (into < stall.duration) due += stall.duration - into
    }
    this.#last = due
    this.#waiting += bytes.length
    this.#queue.push({ bytes, due })
    this.#timer ??= setTimeout(() => this.#deliver(), due - now)
  }

  #deliver(): void {
    this.#timer = undefined
    for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
      const wait = next.due - performance.now()
      if (wait > 0.5) {
        this.#timer = setTimeout(() => this.#deliver(), wait)
        break
      }
      this.#queue.shift()
      this.#waiting -= next.bytes.length
      this.#arrive(next.bytes)
    }
    if (this.#drained !== undefined && this.#backlog() <= QUEUE / 2) {
      const drained = this.#drained
      this.#drained = undefined
      drained()
    }
  }

  /** What waits for the line, without what is on it, in bytes. */
  #backlog(): number {
    const { rate, delay } = this.#profile
    return rate === undefined ? 0 : this.#waiting - (rate / 8000) * delay
  }
}
