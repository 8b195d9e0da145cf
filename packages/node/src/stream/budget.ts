import { LinkedList } from '../linked-list.ts'

/** Those that wait for room go on when so much of it is free again. */
const LOW = 0.5

/** Memory that may be held or promised. A child's share is its parent's too. */
export class Budget {
  readonly max: number
  readonly #parent: Budget | undefined
  #used = 0
  #held = 0
  readonly #waiting = new LinkedList<() => void>()
  #rouses = false // in this turn
  /** Called, once in a turn, when something of it or of a child's is free again; absent while nobody waits. */
  onFreed: (() => void) | undefined
  /** Somebody waits for room in it: what was promised to others is not promised again. */
  contended = false

  constructor(max: number, parent?: Budget) {
    this.max = max
    this.#parent = parent
  }

  /** Bytes that are held or promised now. */
  get used(): number {
    return this.#used
  }

  /** Bytes that are held now. */
  get held(): number {
    return this.#held
  }

  /** Counts so much more as used, and so much more of it as held rather than promised; negative when it goes. */
  add(used: number, held: number): void {
    this.#used += used
    this.#held += held
    this.#parent?.add(used, held)
    if (used < 0 || held < 0) this.#rouse() // what is held no longer may have been promised again, or count in a pool
  }

  /** Whether so much more stays within this part of the limits. */
  hasRoom(amount: number, part: number): boolean {
    return this.shortOf(amount, part) === undefined
  }

  /** Which of the limits would be passed by so much more: this budget's own, or its parent's. */
  shortOf(amount: number, part: number): 'own' | 'parent' | undefined {
    if (!this.#fits(amount, part)) return 'own'
    return this.#parent?.shortOf(amount, part) === undefined ? undefined : 'parent'
  }

  /** Whether somebody waits for room in it, or in its parent. */
  get isContended(): boolean {
    return this.contended || this.#parent?.isContended === true
  }

  /** Calls back, once, when there may be room for so much within this part; those that wait are called in turns. */
  wait(amount: number, part: number, resume: () => void): void {
    const short = this.#parent === undefined || !this.#fits(amount, part) ? this : this.#parent
    short.#waiting.push(resume)
  }

  #fits(amount: number, part: number): boolean {
    return this.#used + amount <= this.max * part
  }

  /** After what freed the room is complete: it may belong to a sender that is called. */
  #rouse(): void {
    if (this.#rouses || (this.#waiting.empty && this.onFreed === undefined)) return
    this.#rouses = true
    queueMicrotask(() => {
      this.#rouses = false
      this.onFreed?.()
      for (let left = this.#waiting.size; left > 0 && this.#used <= this.max * LOW; left--) this.#waiting.shift()?.()
    })
  }
}

/** What one user of a budget counts in it. */
export class Account {
  readonly #budget: Budget
  #used = 0
  #held = 0

  constructor(budget: Budget) {
    this.#budget = budget
  }

  /** So much is used now, and of it so much is held rather than promised. */
  set(used: number, held: number): void {
    const [moreUsed, moreHeld] = [used - this.#used, held - this.#held]
    if (moreUsed === 0 && moreHeld === 0) return
    this.#used = used
    this.#held = held
    this.#budget.add(moreUsed, moreHeld)
  }

  /** Whether somebody waits for room in the budget, or in its parent. */
  get contended(): boolean {
    return this.#budget.isContended
  }

  /** What has no room for `amount` more within this part of the limits: the budget itself, or its parent; `undefined` when all have. */
  shortOf(amount: number, part: number): 'own' | 'parent' | undefined {
    return this.#budget.shortOf(amount, part)
  }
}
