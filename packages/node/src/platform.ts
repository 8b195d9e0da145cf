import { type Clock, systemClock } from './clock.ts'
import { Libp2pHost, type Libp2pHostOptions } from './libp2p/host.ts'
import type { Host } from './transport/transport.ts'

/** What a node stands on. A test replaces it: time and chance by a simulated clock, the network by a host in memory. */
export interface Platform {
  readonly clock: Clock
  makeHost(options: Libp2pHostOptions): Host
}

/** The machine's own clock, and libp2p. */
export const systemPlatform: Platform = {
  clock: systemClock,
  makeHost: (options) => new Libp2pHost(options),
}
