/** What the tests share. */

export { Child, spawnNode } from './child.ts'
export { eventually } from './eventually.ts'
export { collect, type MadeNode, makeNode, pair } from './nodes.ts'
export { SimulatedClock } from './simulated-clock.ts'
