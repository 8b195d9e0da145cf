/** What the tests share. */

export { chance, withChance } from './chance.ts'
export { Child, spawnNode } from './child.ts'
export { readCommandLine } from './command-line.ts'
export { eventually } from './eventually.ts'
export { type Fault, FaultProxy } from './fault-proxy.ts'
export type { LineProfile } from './line.ts'
export { MemoryNetwork } from './memory-network.ts'
export { collect, type MadeNode, makeNode, pair } from './nodes.ts'
export { RawPeer, type RawStream, unlimited } from './raw-peer.ts'
export { SimulatedClock } from './simulated-clock.ts'
export { percentile } from './statistics.ts'
export { writeBetween } from './write-between.ts'
