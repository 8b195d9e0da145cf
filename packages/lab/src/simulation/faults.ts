import type { Identity } from '@glueberry/node'
import { NAMES, type Program } from './program.ts'
import type { World } from './world.ts'

const [SECOND, MINUTE] = [1000, 60_000]
const HALF_MINUTE = 30 * SECOND

/** What can go wrong, each as likely as the others. */
const FAULTS: readonly ((world: World) => void)[] = [cut, block, delay, kill, stop, holdConsumer, dialAgain]

/** One fault, by chance. */
export function causeFault(world: World): void {
  const fault = FAULTS[world.upTo(FAULTS.length - 1)] as (world: World) => void
  fault(world)
}

/** A program sends up to 21 messages to another. In one burst of ten they are large: more than a line and a window hold. */
export function sendBurst(world: World): void {
  const index = world.any()
  const [from, to] = [programAt(world, index), programAt(world, world.other(index))]
  if (!from.alive || from.node.status !== 'running') return
  const name = NAMES[world.upTo(NAMES.length - 1)] as (typeof NAMES)[number]
  const largest = world.random() < 0.1 ? 200_000 : 300
  for (let i = world.upTo(20); i >= 0; i--) from.send(to, name, world.upTo(largest))
}

/** Every way is open and fast. */
export function healNetwork({ network, identities }: World): void {
  for (const a of identities) {
    for (const b of identities) {
      network.block(a.peerId, b.peerId, false)
      network.way(a.peerId, b.peerId).delay = [1, 5]
    }
  }
}

function cut(world: World): void {
  const { connections } = world.network
  const connection = connections[world.upTo(connections.length - 1)]
  if (connection === undefined) return
  world.trace('cut')
  connection.cut()
}

/** One direction, for up to a minute. */
function block(world: World): void {
  const from = world.any()
  const to = world.other(from)
  const [a, b] = [peerAt(world, from), peerAt(world, to)]
  world.trace(`block ${from} ${to}`)
  world.network.block(a, b, true)
  world.later(() => world.network.block(a, b, false), MINUTE)
}

function delay(world: World): void {
  const from = world.any()
  const way = world.network.way(peerAt(world, from), peerAt(world, world.other(from)))
  const least = world.upTo(200)
  way.delay = [least, least + world.upTo(300)]
}

function kill(world: World): void {
  const index = world.any()
  const program = programAt(world, index)
  if (!program.alive) return
  world.trace(`kill ${index}`)
  program.kill()
  world.beginLater(index)
}

/** Half of them drain. */
function stop(world: World): void {
  const index = world.any()
  const program = programAt(world, index)
  if (!program.alive || program.node.status !== 'running') return
  world.trace(`stop ${index}`)
  program.stop(world.random() < 0.5).then(
    () => (program.killed ? undefined : world.beginLater(index)),
    (error) => world.failed(error),
  )
}

/** An application consumes nothing for up to half a minute. */
function holdConsumer(world: World): void {
  const program = programAt(world, world.any())
  program.block(true)
  world.later(() => program.block(false), HALF_MINUTE)
}

/** A peer that is known, and perhaps connected, is dialed. */
function dialAgain(world: World): void {
  const index = world.any()
  const [a, b] = [programAt(world, index), programAt(world, world.other(index))]
  if (a.alive && a.node.status === 'running')
    a.node.connect([`${world.network.addressOf(b.peerId)}/p2p/${b.peerId}`]).catch(() => {})
}

function programAt({ programs }: World, index: number): Program {
  return programs[index] as Program
}

function peerAt({ identities }: World, index: number): Identity['peerId'] {
  return (identities[index] as Identity).peerId
}
