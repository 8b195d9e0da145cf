import type { Memory } from './obey.ts'

/** What the programs of a run can be told to do. */
export interface Orders {
  /** Opens ends of this program, beside those that are open. */
  open(options: OpenOrder): Promise<{ readonly address: string }>
  /** Connects every end that is not yet connected to that address. */
  connect(address: string): Promise<void>
  /** Opens one more end, connects it and sends a message; when it began to, in milliseconds since 1970. */
  first(options: Omit<OpenOrder, 'endpoints'> & { readonly address: string }): Promise<Begun>
  /** What is counted begins here. */
  mark(): Promise<void>
  /** Sends on every link, and on the first `names` names, as fast as it goes, so many milliseconds long; returns how many, by link and name. */
  flood(options: { readonly duration: number; readonly names: number }): Promise<readonly number[]>
  /** Sends so many on one name of the newest link, without waiting for any of them. */
  stuff(options: { readonly count: number; readonly name: number }): Promise<void>
  /** CPU time since the mark. */
  spent(): Promise<NodeJS.CpuUsage>
  /** Waits until so many have come since the mark. Fails when one of them was not the next one. */
  arrived(count: number): Promise<Arrived>
  /** Sends messages that the other side sends back. Fails when one of them was not the next one. */
  trips(options: { readonly count: number; readonly outstanding: number; readonly name: number }): Promise<Trips>
  /** From now on the application waits so long after each message, in milliseconds; 0: not at all. */
  pace(duration: number): Promise<void>
  /** From now on every so-many-th message is kept. */
  keep(every: number): Promise<void>
  /** Memory after a garbage collection. */
  memory(): Promise<Memory>
  /** The largest memory since the last call, looked at every 20 ms, and how long the event loop was late at worst of 99 %. */
  peak(): Promise<Memory & { readonly loopDelay: number }>
  close(): Promise<void>
}

export interface OpenOrder {
  readonly contender: string
  readonly size: number
  readonly names: number
  readonly endpoints: number
  /** How many will connect to one node; 1 unless said. */
  readonly peers?: number
  readonly listens: boolean
  readonly duplex: boolean
  /** Messages on names from this one on are sent back. */
  readonly echoFrom: number
  readonly unread?: number
}

interface Arrived {
  readonly received: number
  /** From the first to the last, in milliseconds. */
  readonly duration: number
  /** When the first came, in milliseconds since 1970. */
  readonly firstAt: number
  readonly cpu: NodeJS.CpuUsage
  /** How many messages are kept. */
  readonly kept: number
}

interface Begun {
  readonly started: number
  readonly connecting: number
}

/** Durations in milliseconds. */
interface Trips {
  readonly p50: number
  readonly p99: number
  readonly perSecond: number
}
