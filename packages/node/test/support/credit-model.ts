/** What is modelled. Costs are small whole numbers; a message is written whole, or not at all. */
export interface Model {
  /** Credit that the names of a peer share. */
  readonly pool: number
  readonly peerBudget: number
  readonly nodeBudget: number
  /** A name whose sender asks is granted so much at once. */
  readonly firstWindow: number
  readonly windowMax: number
  /** Costs of the messages of each name of each peer. */
  readonly messages: readonly (readonly (readonly number[])[])[]
  /** How often the session of each peer may end and begin again. */
  readonly restarts: number
  /** Peer and name of which nothing is ever consumed. */
  readonly unread?: readonly [peer: number, name: number]
  /** This peer asks for the most, sends nothing, and gives nothing back. */
  readonly hoarder?: number
  /** A sender asks for so much at least when it asks first. */
  readonly firstWant?: number
  /** Senders may give credit back between messages, too. */
  readonly pauses?: boolean
  /** Rules that are left out, to see that the check notices. */
  readonly without?:
    | 'remainders that go back'
    | 'pools that shrink'
    | 'turns that are skipped'
    | 'giving back'
    | 'names that wait for themselves'
}

interface Name {
  // The sender's side.
  next: number // index of the message that is written next
  spent: number
  limit: number
  returned: number
  wanted: number
  paused: number // the next message when credit was given back last
  known: number // how many are consumed, as far as it knows
  /** Messages on their way. */
  wire: number[]
  // The receiver's side.
  arrived: number
  told: number
  back: number
  window: number
  want: number
  taken: number
  due: boolean
  got: number // how many have been received
  held: number[]
}

interface Peer {
  pool: number
  restarts: number
  readonly names: Name[]
  /** WANT and RETURN on their way: a name, and a number. */
  up: ['want' | 'return', number, number][]
  /** ACK on its way: name, consumed, limit. */
  down: [number, number, number][][]
}

interface State {
  readonly peers: Peer[]
  /** Peers and names that wait for a grant. */
  queue: [number, number][]
}

type Action = readonly [name: string, act: (state: State) => void]

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)
const made = (): Name => ({
  ...{ next: 0, spent: 0, limit: 0, returned: 0, wanted: 0, paused: 0, known: 0, wire: [] },
  ...{ arrived: 0, told: 0, back: 0, window: 0, want: 0, taken: 0, due: false, got: 0, held: [] },
})
const at = <T>(list: readonly T[], index: number): T => list[index] as T

/**
 * Visits every state that the rules of docs/protocol.md, Flow control, can lead to, whatever the order in which data and
 * control messages arrive. Throws with the way to a state in which a budget is passed, an honest peer is taken for a
 * hostile one, or nothing happens any more although a message waits or credit was not given back. Returns how many states
 * there are.
 */
export function checkCredit(model: Model): number {
  const { pool, messages, peerBudget, nodeBudget, firstWindow, windowMax, unread, hoarder, without } = model
  const costOf = (p: number, n: number, message: number): number => at(at(at(messages, p), n), message)
  const heldBy = (p: number, n: number, { held }: Name): number => sum(held.map((message) => costOf(p, n, message)))
  /** What of the pool is in use, as its sender and its receiver know it. */
  const spentPool = ({ spent, limit, returned }: Name): number => Math.max(0, spent + returned - limit)
  const usedPool = ({ arrived, told, back }: Name): number => Math.max(0, arrived + back - told)
  const usedBy = (p: number, peer: Peer): number =>
    peer.pool +
    sum(
      peer.names.map((name, n) => {
        const held = heldBy(p, n, name)
        return Math.max(name.window, held) - Math.min(usedPool(name), Math.max(0, held - name.window))
      }),
    )
  const used = ({ peers }: State): number => sum(peers.map((peer, p) => usedBy(p, peer)))
  const isUnread = (p: number, n: number): boolean => unread?.[0] === p && unread[1] === n
  const done = (p: number, n: number, { next, known }: Name): boolean =>
    next === at(at(messages, p), n).length && known === next

  /** Grants what this name waits for; or else says what has no room for it. */
  const grant = (state: State, p: number, n: number): 'name' | 'own' | 'parent' | undefined => {
    const peer = at(state.peers, p)
    const name = at(peer.names, n)
    const before = name.window
    const held = heldBy(p, n, name)
    name.window = Math.max(before, held + Math.min(name.want - name.back - name.arrived, firstWindow))
    if (name.window > before) {
      const tooWide = name.window > firstWindow && without !== 'names that wait for themselves'
      const short = tooWide
        ? 'name'
        : usedBy(p, peer) > peerBudget
          ? 'own'
          : used(state) > nodeBudget
            ? 'parent'
            : undefined
      if (short !== undefined) {
        name.window = before
        return short
      }
    }
    name.due ||= name.window > before
    name.want = 0
    return undefined
  }
  /** Grants what is waited for, in turns. Returns the peers, and with `node` the node, in which somebody waits for room. */
  const serve = (state: State): Set<number | 'node'> => {
    const contended = new Set<number | 'node'>()
    for (let i = 0; i < state.queue.length; ) {
      const [p, n] = at(state.queue, i)
      const short = grant(state, p, n)
      if (short === undefined) {
        state.queue.splice(i, 1)
        continue
      }
      if (short !== 'name') contended.add(short === 'own' ? p : 'node')
      if (short === 'parent' || without === 'turns that are skipped') break
      i++
    }
    return contended
  }

  const sending = (peer: Peer, name: Name, p: number, n: number): Action[] => {
    const cost = at(at(messages, p), n)[name.next]
    const own = name.limit - name.returned - name.spent
    if (hoarder === p) {
      if (name.wanted > 0) return []
      return [[`hoard ${p}.${n}`, ({ peers }) => ask(at(peers, p), n, 99)]]
    }
    // Nothing is kept: it may be a while until the next message.
    const idle = name.known === name.next && own > 0 && without !== 'giving back'
    const giveBack: Action[] = [
      [
        `return ${p}.${n}`,
        ({ peers }) => {
          const name = at(at(peers, p).names, n)
          giveUnused(at(peers, p), n)
          name.wanted = 0
          name.paused = name.next
        },
      ],
    ]
    if (cost === undefined) return idle ? giveBack : []
    const left = Math.max(0, own) + peer.pool - sum(peer.names.map(spentPool))
    if (cost <= left) {
      return [
        ...(idle && model.pauses === true && name.paused < name.next ? giveBack : []),
        [
          `send ${p}.${n}`,
          ({ peers }) => {
            const name = at(at(peers, p).names, n)
            name.wire.push(name.next++)
            name.spent += cost
          },
        ],
      ]
    }
    const inFlight = sum(at(at(messages, p), n).slice(name.known, name.next))
    const asked = name.wanted > 0
    if (name.wanted + name.returned > name.limit || (asked && own + inFlight >= cost)) return []
    return [[`ask ${p}.${n}`, ({ peers }) => ask(at(peers, p), n, Math.max(cost, asked ? 0 : (model.firstWant ?? 0)))]]
  }
  const ask = (peer: Peer, n: number, cost: number): void => {
    const name = at(peer.names, n)
    if (name.limit > name.returned + name.spent && without !== 'remainders that go back') giveUnused(peer, n)
    name.wanted = name.spent + cost
    peer.up.push(['want', n, name.wanted + name.returned])
  }
  const giveUnused = ({ names, up }: Peer, n: number): void => {
    const name = at(names, n)
    name.returned = name.limit - name.spent
    up.push(['return', n, name.returned])
  }

  const receiving = (name: Name, p: number, n: number): Action[] => {
    const actions: Action[] = []
    if (name.wire.length > 0) {
      actions.push([
        `data ${p}.${n}`,
        ({ peers }) => {
          const peer = at(peers, p)
          const name = at(peer.names, n)
          const message = name.wire.shift() as number
          name.arrived += costOf(p, n, message)
          name.held.push(message)
          name.got = message + 1
          if (sum(peer.names.map(usedPool)) > peer.pool) throw new Error('it sent more than its credit')
        },
      ])
    }
    if (name.held.length > 0 && !isUnread(p, n)) {
      actions.push([
        `consume ${p}.${n}`,
        (state) => {
          const peer = at(state.peers, p)
          const name = at(peer.names, n)
          const contended = serve(state) // grants nothing: nothing has changed
          const cost = costOf(p, n, name.held.shift() as number)
          name.taken += cost
          name.due = true
          const base = Math.max(name.window, peer.pool)
          const window = Math.min(2 * base, windowMax)
          if (contended.has(p) || contended.has('node')) {
            name.taken = 0
            name.window = Math.max(0, name.window - cost)
          } else if (name.arrived > 0 && name.taken >= base && window > name.window) {
            name.taken = 0
            const more = window - name.window
            if (usedBy(p, peer) + more <= peerBudget / 2 && used(state) + more <= nodeBudget / 2) name.window = window
          }
          serve(state)
        },
      ])
    }
    return actions
  }

  const talking = (peer: Peer, p: number): Action[] => {
    const actions: Action[] = []
    if (peer.names.some(({ due }) => due)) {
      actions.push([
        `ACK ${p}`,
        ({ peers }) => {
          const { names, down } = at(peers, p)
          const ack: [number, number, number][] = []
          for (const [n, name] of names.entries()) {
            if (!name.due) continue
            name.due = false
            name.told = Math.max(name.told, name.arrived + name.window - heldBy(p, n, name) + name.back)
            ack.push([n, name.held[0] ?? name.got, name.told])
          }
          down.push(ack)
        },
      ])
    }
    if (peer.down.length > 0) {
      actions.push([
        `hear ACK ${p}`,
        ({ peers }) => {
          const { names, down } = at(peers, p)
          for (const [n, consumed, told] of down.shift() ?? []) {
            const name = at(names, n)
            name.known = Math.max(name.known, consumed)
            name.limit = Math.max(name.limit, told)
          }
        },
      ])
    }
    const [first] = peer.up
    if (first !== undefined) {
      actions.push([
        `hear ${first[0]} ${p}`,
        (state) => {
          const { names, up } = at(state.peers, p)
          const [type, n, value] = up.shift() as Peer['up'][number]
          const name = at(names, n)
          if (type === 'want') {
            name.want = value
            if (!state.queue.some((each) => each[0] === p && each[1] === n)) state.queue.push([p, n])
          } else {
            if (value > name.told) throw new Error('it gives back what it does not have')
            name.window = Math.max(0, name.window - (value - name.back))
            name.back = value
            if (sum(names.map(usedPool)) > at(state.peers, p).pool) throw new Error('it gives back what it has used')
          }
          serve(state)
        },
      ])
    }
    if (peer.restarts > 0 && peer.names.some(({ spent, limit }) => spent > 0 || limit > 0)) {
      actions.push([
        `restart ${p}`,
        (state) => {
          const peer = at(state.peers, p)
          peer.restarts--
          peer.up = []
          peer.down = []
          for (const name of peer.names) {
            const { got, held } = name
            Object.assign(name, made(), { next: got, got, held, known: held[0] ?? got })
          }
          state.queue = state.queue.filter(([each]) => each !== p)
          const held = sum(peer.names.map((name, n) => heldBy(p, n, name)))
          peer.pool = 0
          const room = Math.min(peerBudget - usedBy(p, peer), nodeBudget - used(state))
          peer.pool = Math.max(0, Math.min(without === 'pools that shrink' ? pool : pool - held, room))
          serve(state)
        },
      ])
    }
    return actions
  }

  const start: State = {
    peers: messages.map((names) => ({ pool, restarts: model.restarts, names: names.map(made), up: [], down: [] })),
    queue: [],
  }
  /** Each state, with the one before it and what led from there. */
  const seen = new Map<string, readonly [string, string] | undefined>([[JSON.stringify(start), undefined]])
  const found = (what: string, key: string): never => {
    const way: string[] = []
    for (let from = seen.get(key); from !== undefined; from = seen.get(from[0])) way.unshift(from[1])
    throw new Error(`${what}: ${way.join(', ')}`)
  }
  const open = [...seen.keys()]
  for (let key = open.pop(); key !== undefined; key = open.pop()) {
    const state = JSON.parse(key) as State
    if (used(state) > nodeBudget) found('above the budget of the node', key)
    const actions = state.peers.flatMap((peer, p) => {
      if (usedBy(p, peer) > peerBudget) found(`above the budget of peer ${p}`, key)
      const each = peer.names.flatMap((name, n) => [...sending(peer, name, p, n), ...receiving(name, p, n)])
      return [...each, ...talking(peer, p)]
    })
    if (actions.every(([name]) => name.startsWith('restart'))) {
      for (const [p, peer] of state.peers.entries()) {
        for (const [n, name] of peer.names.entries()) {
          if (hoarder === p || isUnread(p, n)) continue
          if (name.held.length > 0 || !done(p, n, name)) found(`${p}.${n} waits for ever`, key)
          if (name.window > 0) found(`${p}.${n} keeps credit for ever`, key)
        }
      }
    }
    for (const [name, act] of actions) {
      const next = JSON.parse(key) as State
      try {
        act(next)
      } catch (error) {
        found(`${(error as Error).message} by ${name}`, key)
      }
      const to = JSON.stringify(next)
      if (seen.has(to)) continue
      seen.set(to, [key, name])
      open.push(to)
    }
  }
  return seen.size
}
