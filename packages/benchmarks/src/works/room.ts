import { ProgramProcess } from '../program-process.ts'
import type { Case, Figures } from '../results.ts'
import type { Delays, RoomOrders } from '../room-orders.ts'
import type { Timing } from './timing.ts'

type Program = ProgramProcess<RoomOrders>

/** A program of peers, and how many nodes it has. */
interface Crowd {
  readonly program: Program
  readonly nodes: number
}

/** Nodes of one program: more of them would wait for each other's garbage collection. */
const NODES_EACH = 500
/** Milliseconds; the default of `heartbeat.interval`. */
const HEARTBEAT = 3000
/** Messages a second and direction, over all peers, while they talk. */
const PER_SECOND = 1000
/** An order takes no longer, in milliseconds. */
const PATIENCE = 900_000
const KIB = 1024

const start = (): Program => new ProgramProcess<RoomOrders>('room-player.ts', PATIENCE)
const worst = (all: readonly Delays[], figure: keyof Delays): number => Math.max(...all.map((each) => each[figure]))

/** Programs with so many nodes together, all connected to that address; and how long each node took for that. */
async function gather(
  stack: AsyncDisposableStack,
  address: string,
  peers: number,
  names: number,
): Promise<{ crowds: Crowd[]; connecting: Delays[]; seconds: number }> {
  const count = Math.ceil(peers / NODES_EACH)
  const crowds = Array.from({ length: count }, (_, i) => ({
    program: stack.use(start()),
    nodes: Math.floor((peers + i) / count),
  }))
  await Promise.all(crowds.map(({ program, nodes }) => program.tell('open', { nodes, names, connections: 1 })))
  const begun = performance.now()
  const connecting = await Promise.all(crowds.map(({ program }) => program.tell('connect', address)))
  return { crowds, connecting, seconds: (performance.now() - begun) / 1000 }
}

/**
 * One node with default options, but for `limits.connections`, and many peers in other programs: what each costs in
 * memory, and in CPU while nobody says anything, how long it takes to connect, and how long messages are on their way.
 */
export async function room(measured: Case, timing: Timing): Promise<Figures> {
  const { names } = measured
  const peers = Math.min(measured.peers, timing.roomFor)
  await using stack = new AsyncDisposableStack()
  const hub = stack.use(start())
  const { address } = await hub.tell('open', { nodes: 1, names, connections: peers + 1 })
  const first = await gather(stack, address, 1, names) // with one, all code is loaded
  const before = await hub.tell('memory')
  const { crowds, connecting, seconds } = await gather(stack, address, peers, names)
  const memory = await hub.tell('memory')
  const everyone = [...first.crowds, ...crowds]
  const rest = peers >= timing.longRestFrom ? timing.longRest : timing.rest
  await hub.tell('mark')
  await new Promise((resolve) => setTimeout(resolve, rest))
  const resting = await hub.tell('spent')
  const held = await hub.tell('connected')
  if (held !== peers + 1) throw new Error(`${held} of ${peers + 1} peers are connected after ${rest} ms`)
  const delivered = await toAll(hub, everyone)
  return {
    heap: (memory.heap - before.heap) / peers / KIB,
    rss: (memory.rss - before.rss) / peers / KIB,
    connects: peers / seconds,
    'connect p50': worst(connecting, 'p50'),
    'connect p99': worst(connecting, 'p99'),
    'CPU at rest': resting / peers / (rest / HEARTBEAT),
    'to all p99': worst(delivered, 'p99'),
    'to all': worst(delivered, 'longest'),
    ...(await talk(hub, everyone, peers + 1, timing)),
  }
}

/** A message to each at once. */
async function toAll(hub: Program, everyone: readonly Crowd[]): Promise<Delays[]> {
  await Promise.all(everyone.map(({ program }) => program.tell('mark')))
  const arrived = everyone.map(({ program, nodes }) => program.tell('arrived', nodes))
  await hub.tell('pulse', { rounds: 1, interval: 0 })
  return Promise.all(arrived)
}

/** A thousand messages a second both ways, over all peers: each of a thousand sends and gets one. */
async function talk(hub: Program, everyone: readonly Crowd[], peers: number, timing: Timing): Promise<Figures> {
  const interval = (1000 * peers) / PER_SECOND
  const programs = [hub, ...everyone.map(({ program }) => program)]
  const say = async (rounds: number): Promise<Delays[]> => {
    await Promise.all(programs.map((program) => program.tell('mark')))
    const arrived = [
      hub.tell('arrived', rounds * peers),
      ...everyone.map(({ program, nodes }) => program.tell('arrived', rounds * nodes)),
    ]
    await Promise.all(programs.map((program) => program.tell('pulse', { rounds, interval })))
    return Promise.all(arrived)
  }
  await say(Math.ceil(timing.warmUp / interval))
  const rounds = Math.ceil(timing.talk / interval)
  const delays = await say(rounds)
  const spent = await hub.tell('spent')
  return {
    'CPU a message': (1000 * spent) / (2 * rounds * peers),
    'delay p50': worst(delays, 'p50'),
    'delay p99': worst(delays, 'p99'),
  }
}

/** So many peers each send many messages, and fall idle; then as many others do the same. MiB above what the node had before. */
export async function turnover(measured: Case, timing: Timing): Promise<Figures> {
  const peers = Math.min(measured.peers, timing.roomFor)
  await using stack = new AsyncDisposableStack()
  const hub = stack.use(start())
  const { address } = await hub.tell('open', { nodes: 1, names: 1, connections: 2 * peers })
  const before = await hub.tell('memory')
  const figures: Record<string, number> = {}
  for (const which of ['first', 'second']) {
    const { crowds } = await gather(stack, address, peers, 1)
    const begun = performance.now()
    await Promise.all(crowds.map(({ program }) => program.tell('pour', timing.mebibytes)))
    figures[`${which} MiB a second`] = (peers * timing.mebibytes * 1000) / (performance.now() - begun)
  }
  const after = await hub.tell('memory')
  return { ...figures, heap: (after.heap - before.heap) / KIB / KIB, connected: await hub.tell('connected') }
}
