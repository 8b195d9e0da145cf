import type { Memory } from './obey.ts'

/** What a program with one or many nodes of this library can be told to do. */
export interface RoomOrders {
  /** Starts so many nodes, with default options but for `limits.connections`. */
  open(options: OpenRoom): Promise<{ readonly address: string }>
  /** Connects every node to that address, a few at a time; how long each took. */
  connect(address: string): Promise<Delays>
  /** How many peers are connected to the first node. */
  connected(): Promise<number>
  /** What is counted begins here. */
  mark(): Promise<void>
  /** CPU time since the mark, in milliseconds. */
  spent(): Promise<number>
  /** Sends `rounds` messages of 64 B from each node to each of its peers, spread evenly over `interval` milliseconds each. */
  pulse(options: { readonly rounds: number; readonly interval: number }): Promise<void>
  /** Each node sends so many MiB to its first peer, in messages of 64 KiB, until the peer's application has all of them. */
  pour(mebibytes: number): Promise<void>
  /** Waits until so many have come since the mark; how long each was on its way. */
  arrived(count: number): Promise<Delays>
  memory(): Promise<Memory>
}

interface OpenRoom {
  readonly nodes: number
  readonly names: number
  /** `limits.connections`. */
  readonly connections: number
}

/** In milliseconds. */
export interface Delays {
  readonly p50: number
  readonly p99: number
  readonly longest: number
}
