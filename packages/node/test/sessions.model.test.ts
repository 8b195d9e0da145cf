import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Contender, SessionSet, sameInstance } from '../src/connection/session-set.ts'

// Two nodes and the rules by which their sessions live (docs/protocol.md, "Which session lives"), without Noise and
// TCP: control messages and data travel in order on each connection, a history decides when each of them arrives, when
// an application accepts, who dials, renews, restarts, and which connection breaks. Breaks are noticed at each side by
// itself, or much later. Each side sends numbered messages, from where the other's READY says.

interface Message {
  readonly type: 'setup' | 'ready' | 'goodbye' | 'data'
  readonly instance?: Uint8Array
  readonly ended?: readonly Uint8Array[]
  /** READY: the last number that has come, from the instance that it is said to. DATA: the number. */
  readonly number?: number
}

let ids = 0
const freshId = (): Uint8Array => {
  ids++
  return Uint8Array.of(ids >>> 16, ids >>> 8, ids)
}

class End implements Contender {
  readonly node: Side
  readonly line: Line
  readonly dialed: boolean
  readonly renews: End | undefined
  id: Uint8Array | undefined
  remote: { instance: Uint8Array; ended: readonly Uint8Array[] } | undefined
  accepted = false
  begun = false
  readySent = false
  remoteIsReady = false
  remotePosition = 0
  over = false
  nextToSend = 0 // once established
  other!: End
  /** What is on its way here. */
  queue: Message[] = []

  constructor(node: Side, line: Line, dialed: boolean, renews: End | undefined) {
    this.node = node
    this.line = line
    this.dialed = dialed
    this.renews = renews
  }

  get established(): boolean {
    return this.readySent && this.remoteIsReady && !this.over
  }

  /** The other side knows that it is over, and says so when it next sets a session up: nothing has to die of silence. */
  get otherWillTell(): boolean {
    const { node, over } = this.other
    const restarted = this.remote !== undefined && this.remote.instance !== node.instance
    return over && (restarted || node.sessions.endedIds.some((id) => id === this.id))
  }

  send(message: Message): void {
    if (!this.line.broken && !this.over) this.other.queue.push(message)
  }
}

/** A connection: it breaks for both, and each notices in its own time. */
interface Line {
  broken: boolean
}

/** Keys are being agreed on. */
interface Attempt {
  readonly mine: End
  readonly theirs: End
  readonly id: Uint8Array
}

class Side {
  readonly decides: boolean
  instance = freshId()
  sessions: SessionSet<End>
  /** Numbers that have come, from the other side's instance. */
  record: { instance: Uint8Array; received: number } | undefined
  sent = 0
  /** Established sessions that have ended here. */
  lost = 0

  constructor(decides: boolean) {
    this.decides = decides
    this.sessions = new SessionSet(decides)
  }

  /** The keys are agreed on. */
  begin(end: End, id: Uint8Array): void {
    end.id = id
    this.sessions.add(end)
    end.send({ type: 'setup', instance: this.instance, ended: this.sessions.endedIds })
  }

  end(end: End, say: boolean): void {
    if (end.over) return
    if (say) end.send({ type: 'goodbye' })
    if (end.established) this.lost++
    end.over = true
    this.sessions.delete(end)
    if (end.renews !== undefined && !end.renews.over && !end.readySent) this.end(end.renews, false)
  }

  deliver(end: End): void {
    const message = end.queue.shift()
    if (message === undefined || end.over) return
    switch (message.type) {
      case 'setup':
        end.remote = { instance: message.instance as Uint8Array, ended: message.ended as Uint8Array[] }
        for (const other of this.sessions.overBy(end)) this.end(other, false)
        if (this.sessions.onSetup(end) === 'duplicate') return this.end(end, true)
        if (end.renews !== undefined && sameInstance(end.renews, end)) return this.accept(end)
        end.begun = true
        return
      case 'ready':
        end.remoteIsReady = true
        end.remotePosition = message.number as number
        if (!end.readySent) this.progress(end)
        if (end.established) end.nextToSend = end.remotePosition + 1
        return
      case 'goodbye':
        return this.end(end, false)
      case 'data': {
        // A record of an ended session is never processed (above), nor before READY.
        expect(end.readySent).toBe(true)
        const record = this.record as { received: number }
        expect(message.number, 'in order, none twice, none missing').toBe(record.received + 1)
        record.received++
      }
    }
  }

  accept(end: End): void {
    end.begun = false
    end.accepted = true
    this.progress(end)
  }

  progress(end: End): void {
    const verdict = this.sessions.onProgress(end)
    if (verdict === 'duplicate') return this.end(end, true)
    if (verdict === 'wait') return
    for (const rival of this.sessions.rivals(end)) this.end(rival, true)
    const { instance } = end.remote as { instance: Uint8Array }
    if (this.record?.instance.join() !== instance.join()) this.record = { instance, received: 0 }
    end.readySent = true
    end.send({ type: 'ready', number: this.record.received })
    if (end.established) end.nextToSend = end.remotePosition + 1
  }
}

class World {
  readonly sides = [new Side(true), new Side(false)] as const
  ends: End[] = []
  attempts: Attempt[] = []
  dials = 0

  dial(from: Side): void {
    const to = this.sides.find((side) => side !== from) as Side
    this.connect(from, to, { broken: false }, undefined)
    this.dials++
  }

  connect(from: Side, to: Side, line: Line, renews: End | undefined): void {
    const mine = new End(from, line, true, renews)
    const theirs = new End(to, line, false, renews?.other)
    mine.other = theirs
    theirs.other = mine
    this.ends.push(mine, theirs)
    this.attempts.push({ mine, theirs, id: freshId() })
  }

  /** The next of the two messages of a key agreement arrives; or the attempt has come to nothing. */
  agree(attempt: Attempt): void {
    const { mine, theirs, id } = attempt
    const renewed = mine.renews?.over === true || theirs.renews?.over === true // its id is in the prologue: no agreement
    if (mine.line.broken || renewed || mine.over || theirs.over) {
      this.attempts.splice(this.attempts.indexOf(attempt), 1)
      mine.line.broken = true
      mine.over = true
      theirs.node.end(theirs, false)
      return
    }
    if (theirs.id === undefined) return theirs.node.begin(theirs, id)
    mine.node.begin(mine, id)
    this.attempts.splice(this.attempts.indexOf(attempt), 1)
  }

  /** Everything that could happen now. */
  actions({ breaks = false, renewals = false, sends = true, deaths = true }): (() => void)[] {
    const actions: (() => void)[] = []
    for (const attempt of this.attempts) actions.push(() => this.agree(attempt))
    this.ends = this.ends.filter((end) => !end.over || (!end.other.over && !end.line.broken))
    for (const end of this.ends) {
      const { node } = end
      if (end.over || end.id === undefined) continue
      if (end.queue.length > 0) actions.push(() => node.deliver(end))
      if (end.begun) actions.push(() => node.accept(end))
      if (end.line.broken && (deaths || !end.otherWillTell)) actions.push(() => node.end(end, false)) // noticed
      if (!end.line.broken && end.other.over && end.queue.length === 0) actions.push(() => node.end(end, false)) // its last word was heard
      if (sends && end.established && end.nextToSend > 0) {
        actions.push(() => {
          node.sent = Math.max(node.sent, end.nextToSend)
          end.send({ type: 'data', number: end.nextToSend++ })
        })
      }
      const renewing = this.ends.some((other) => other.renews === end)
      if (renewals && end.established && end.dialed && !renewing && !end.other.over) {
        actions.push(() => this.connect(node, end.other.node, end.line, end))
      }
      if (breaks && !end.line.broken) {
        actions.push(() => {
          end.line.broken = true
          for (const each of this.ends) if (each.line === end.line) each.queue = each.queue.slice(0, 1)
        })
      }
    }
    for (const side of this.sides) {
      const dialing = this.attempts.some(({ mine }) => mine.node === side && mine.renews === undefined)
      if (!dialing && !side.sessions.underWay && this.dials < 12) actions.push(() => this.dial(side))
      if (breaks) {
        actions.push(() => {
          // It restarts: what it had is gone without a word.
          for (const end of this.ends) {
            if (end.node !== side) continue
            end.over = true
            end.line.broken = true
          }
          side.instance = freshId()
          side.sessions = new SessionSet(side.decides)
          side.record = undefined
          side.sent = 0
          // Its partner numbers from 1 for an instance that has forgotten; the record above does the same.
        })
      }
    }
    return actions
  }

  check(): void {
    for (const side of this.sides) {
      expect(side.sessions.all.filter(({ readySent }) => readySent).length, 'one session a node').toBeLessThanOrEqual(1)
    }
  }

  /** No more faults: whatever is on its way arrives, who has nothing dials, and no break is noticed that the other side tells of. */
  heal(): void {
    for (let turn = 0; ; turn++) {
      expect(turn, 'it comes to rest').toBeLessThan(10_000)
      const [a, b] = this.sides.map(({ sessions }) => sessions.all.filter(({ established }) => established))
      const quiet =
        this.attempts.length === 0 &&
        this.ends.every(
          (end) => end.over || (end.queue.length === 0 && !end.begun && !end.line.broken && !end.other.over),
        )
      if (a?.length === 1 && b?.length === 1 && quiet && this.sides.every(({ sessions }) => sessions.size === 1)) {
        expect(a[0]?.other).toBe(b[0])
        return
      }
      let actions = this.actions({ sends: false, deaths: false })
      // Each side may hold a dead session that the other one would tell of, if it had a reason to dial: then silence tells.
      if (actions.length === 0) actions = this.actions({ sends: false })
      ;(actions[turn % actions.length] as () => void)()
      this.check()
    }
  }
}

const history = fc.array(fc.nat(1_000_000), { minLength: 10, maxLength: 120 })

test('10,000 histories of dials from both sides, breaks, renewals and restarts: one session each, in order, and they meet again', () => {
  fc.assert(
    fc.property(history, (choices) => {
      const world = new World()
      for (const choice of choices) {
        const actions = world.actions({ breaks: true, renewals: true })
        ;(actions[choice % actions.length] as () => void)()
        world.check()
      }
      world.dials = 0
      world.heal()
      expect(world.dials).toBeLessThanOrEqual(3)
    }),
    { numRuns: 10_000 },
  )
})

test('10,000 histories without faults: who dials at the same time needs no third dial, and nothing that is established ends', () => {
  fc.assert(
    fc.property(history, (choices) => {
      const world = new World()
      for (const choice of choices) {
        const actions = world.actions({})
        ;(actions[choice % actions.length] as () => void)()
        world.check()
      }
      world.heal()
      expect(world.dials).toBeLessThanOrEqual(2)
      expect(world.sides.map(({ lost }) => lost)).toEqual([0, 0])
    }),
    { numRuns: 10_000 },
  )
})

test('10,000 histories of renewals: each replaces the session before it, on the same connection, without a dial', () => {
  fc.assert(
    fc.property(history, fc.boolean(), (choices, which) => {
      const world = new World()
      world.dial(world.sides[which ? 0 : 1])
      world.heal()
      world.dials = 0
      for (const choice of choices) {
        const actions = world.actions({ renewals: true })
        ;(actions[choice % actions.length] as () => void)()
        world.check()
      }
      world.heal()
      expect(world.dials).toBe(0)
    }),
    { numRuns: 10_000 },
  )
})

test('a session of an instance that was replaced while the application thought about it is not made ready', () => {
  const set = new SessionSet<Contender>(true)
  const contender = (number: number): Contender => ({
    id: Uint8Array.of(number),
    remote: { instance: Uint8Array.of(number), ended: [] },
    renews: undefined,
    accepted: true,
    remoteIsReady: false,
  })
  const [before, after] = [contender(1), contender(2)]
  for (const session of [before, after]) {
    set.add(session)
    expect(set.onSetup(session)).toBe('begin')
  }
  expect([set.onProgress(before), set.onProgress(after)]).toEqual(['duplicate', 'ready'])
})
