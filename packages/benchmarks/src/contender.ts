/** One way for two programs to exchange messages, written as its users write it. */
export interface Contender {
  /** Opens one program's end. @throws Missing when this machine cannot run it */
  open(options: EndpointOptions): Promise<Endpoint>
}

/** What a run needs of one program's end. */
export interface EndpointOptions {
  /** Bytes of every message in this run: a transport without message boundaries cuts by it. */
  readonly size: number
  /** How many named streams are used. */
  readonly names: number
  /** How many peers will connect to one node. */
  readonly peers: number
  /** Whether others connect to this end. */
  readonly listens: boolean
  /** Whether the end that others connect to sends too. */
  readonly duplex: boolean
  /** The application's own code: called with each message, in the order in which they come. */
  receive(data: Uint8Array, from: Link): void
  /** A slow application: what it waits for after each message. Only for this library, whose flow control is measured. */
  pace(): Promise<void> | undefined
  /** A name that the application never reads; only for this library. */
  readonly unread: number | undefined
}

/** One program's end. */
export interface Endpoint {
  /** What the other program passes to `connect`. */
  readonly address: string
  connect(address: string): Promise<Link>
  close(): Promise<void>
}

/** The way to one other program. */
export interface Link {
  /** Sends a message, whose memory may be kept; a promise where the caller has to wait before the next one. */
  send(data: Uint8Array, name: number): Promise<unknown> | undefined
}

/** What a contender needs is not on this machine. */
export class Missing extends Error {}

/** Names of streams in use: `n0`, `n1`, … */
export const streamNames = (count: number): string[] => Array.from({ length: count }, (_, i) => `n${i}`)
