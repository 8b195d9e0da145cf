/** What the tests share. */
export { eventually } from './eventually.ts'
export { collect, type MadeNode, makeNode, pair } from './nodes.ts'
export { Child, spawnNode } from './child.ts'
export { SimulatedClock } from './simulated-clock.ts'
