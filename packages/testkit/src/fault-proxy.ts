import { createServer, connect as dial, type Server, type Socket } from 'node:net'
import { Line, type LineProfile } from './line.ts'
import { reset } from './reset.ts'

/** What happens to one connection, after so many bytes have passed both ways together. */
export type Fault =
  | { readonly kind: 'none' }
  /** Both sides see a reset. */
  | { readonly kind: 'cut'; readonly after: number }
  /** Accepted, and closed at once. */
  | { readonly kind: 'refuse' }
  /** Nothing passes any more, and nobody is told. */
  | { readonly kind: 'hole'; readonly after: number }
  /** One bit of one byte is another. */
  | { readonly kind: 'corrupt'; readonly after: number }
  /** What the dialer sends ends there; the other way stays open. */
  | { readonly kind: 'half-close'; readonly after: number }
  /** A slow line, both ways. */
  | { readonly kind: 'line'; readonly profile: LineProfile; readonly random: () => number }

/** A TCP proxy on 127.0.0.1 that breaks what passes through it. */
export class FaultProxy implements AsyncDisposable {
  readonly #target: number
  readonly #suffix: string
  readonly #from: string | undefined
  readonly #pairs = new Set<Pair>()
  #server: Server | undefined
  #port = 0
  #plan: (connection: number) => Fault = () => ({ kind: 'none' })
  #accepted = 0
  #faults = 0

  private constructor(port: number, suffix: string, from: string | undefined) {
    this.#target = port
    this.#suffix = suffix
    this.#from = from
  }

  /** In front of a node that listens at this complete multiaddr, which sees connections from the IPv4 address `from`. */
  static async to(address: string, from?: string): Promise<FaultProxy> {
    const match = /\/tcp\/(\d+)(\/p2p\/\w+)$/.exec(address)
    if (match === null) throw new Error(`not a complete TCP multiaddr: ${address}`)
    const proxy = new FaultProxy(Number(match[1]), match[2] as string, from)
    await proxy.listen()
    return proxy
  }

  /** Where to dial instead. */
  get address(): string {
    return `/ip4/127.0.0.1/tcp/${this.#port}${this.#suffix}`
  }

  /** Connections that were accepted so far. */
  get accepted(): number {
    return this.#accepted
  }

  /** Faults that have come about so far. */
  get faults(): number {
    return this.#faults
  }

  /** Connections that are open now. */
  get open(): number {
    return this.#pairs.size
  }

  /** What happens to each connection from now on; they count from 0. */
  plan(fault: Fault | ((connection: number) => Fault)): void {
    this.#plan = typeof fault === 'function' ? fault : () => fault
  }

  /** Breaks every open connection, now. */
  cut(): void {
    for (const pair of [...this.#pairs]) pair.cut()
  }

  /** Breaks every open connection after so many further bytes. */
  cutAfter(bytes: number): void {
    for (const pair of this.#pairs) pair.cutAfter(bytes)
  }

  /** Lets nothing pass any more on every open connection. */
  swallow(): void {
    for (const pair of this.#pairs) pair.swallow()
  }

  /** The far end of every open connection is gone, and the near one is not told. */
  halfOpen(): void {
    for (const pair of this.#pairs) pair.halfOpen()
  }

  /** Nobody listens any more: dials are refused. Open connections stay. */
  async unlisten(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    // `close` waits for the connections that it has accepted; only the port is to be free.
    server?.close()
  }

  /** Listens again, at the same port. */
  async listen(): Promise<void> {
    if (this.#server !== undefined) return
    const server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket))
    this.#server = server
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(this.#port, '127.0.0.1', resolve)
    })
    const address = server.address()
    if (address !== null && typeof address === 'object') this.#port = address.port
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.unlisten()
    this.cut()
  }

  #accept(socket: Socket): void {
    const fault = this.#plan(this.#accepted++)
    if (fault.kind === 'refuse') {
      this.#faults++
      socket.on('error', () => {})
      socket.destroy()
      return
    }
    const pair = new Pair(socket, { port: this.#target, from: this.#from }, fault, {
      broke: () => this.#faults++,
      closed: () => this.#pairs.delete(pair),
    })
    this.#pairs.add(pair)
  }
}

class Pair {
  readonly #near: Socket
  readonly #far: Socket
  #fault: Fault
  readonly #events: { broke(): void; closed(): void }
  /** What leads to each socket, if the line is slow. */
  readonly #lines = new Map<Socket, Line>()
  #passed = 0
  #swallows = false
  #halfOpen = false
  #broken = false

  constructor(
    near: Socket,
    { port, from }: { readonly port: number; readonly from: string | undefined },
    fault: Fault,
    events: { broke(): void; closed(): void },
  ) {
    this.#near = near
    this.#far = dial({
      port,
      host: '127.0.0.1',
      allowHalfOpen: true,
      ...(from === undefined ? {} : { localAddress: from }),
    })
    this.#fault = fault
    this.#events = events
    for (const [source, to] of [
      [this.#near, this.#far],
      [this.#far, this.#near],
    ] as const) {
      source.setNoDelay(true)
      source.on('data', (chunk) => this.#pass(chunk, source, to))
      if (fault.kind === 'line') {
        const line = new Line(fault.profile, fault.random, (bytes) => void (to.writable && to.write(bytes)))
        this.#lines.set(to, line)
      }
      source.on('end', () => {
        const end = (): void => void (this.#swallows ? undefined : to.end())
        const line = this.#lines.get(to)
        if (line === undefined) end()
        else line.end(end)
      })
      source.on('drain', () => to.resume())
      source.on('error', () => (this.#halfOpen ? undefined : this.cut()))
      source.on('close', () => {
        if (!(this.#halfOpen && source === this.#far)) to.destroy()
        this.#lines.get(to)?.close()
        if (this.#near.destroyed && this.#far.destroyed) events.closed()
      })
    }
  }

  cut(): void {
    reset(this.#near)
    reset(this.#far)
  }

  cutAfter(bytes: number): void {
    this.#fault = { kind: 'cut', after: this.#passed + bytes }
  }

  swallow(): void {
    this.#swallows = true
  }

  halfOpen(): void {
    this.#swallows = true
    this.#halfOpen = true
    reset(this.#far)
  }

  #pass(chunk: Buffer, from: Socket, to: Socket): void {
    const fault = this.#fault
    const before = this.#passed
    this.#passed += chunk.length
    let bytes = chunk
    if (!this.#broken && 'after' in fault && this.#passed > fault.after) {
      if (fault.kind === 'half-close' && from !== this.#near) return this.#write(bytes, from, to)
      this.#broken = true
      this.#events.broke()
      // A half-close may be due by what the other side has sent.
      const at = Math.max(0, fault.after - before)
      if (fault.kind === 'corrupt') {
        bytes = Buffer.from(chunk)
        bytes[at] = (bytes[at] as number) ^ 1
      } else {
        this.#write(chunk.subarray(0, at), from, to)
        if (fault.kind === 'hole') this.#swallows = true
        // What was let through before is delivered before the end.
        else if (fault.kind === 'cut') setImmediate(() => this.cut())
        else to.end()
        return
      }
    }
    if (this.#broken && fault.kind === 'half-close' && from === this.#near) return
    this.#write(bytes, from, to)
  }

  #write(bytes: Buffer, from: Socket, to: Socket): void {
    if (this.#swallows || bytes.length === 0) return
    const line = this.#lines.get(to)
    const more = line === undefined ? to.writable && to.write(bytes) : line.send(bytes, () => from.resume())
    if (!more) from.pause()
  }
}
