import type { Row } from '../row.ts'

/** Every row, by the name that `--row` takes. Each is loaded when it is used. */
export const ROWS: Readonly<Record<string, () => Promise<Row>>> = {
  simulation: async () => (await import('./simulation.ts')).simulation,
  cuts: async () => (await import('./cuts.ts')).cuts,
  kills: async () => (await import('./kills.ts')).kills,
  degrade: async () => (await import('./degrade.ts')).degrade,
  garbage: async () => (await import('./garbage.ts')).garbage,
  silent: async () => (await import('./silent.ts')).silent,
  crowd: async () => (await import('./crowd.ts')).crowd,
  costs: async () => (await import('./costs.ts')).costs,
  bytes: async () => (await import('./bytes.ts')).bytes,
  peers: async () => (await import('./peers.ts')).peers,
  slowloris: async () => (await import('./slowloris.ts')).slowloris,
  soak: async () => (await import('./soak.ts')).soak,
  disk: async () => (await import('./disk.ts')).disk,
  stops: async () => (await import('./stops.ts')).stops,
}
