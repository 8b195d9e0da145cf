import { createServer, connect as dial, type Server, type Socket } from 'node:net'

/** A TCP proxy on 127.0.0.1 whose connections can be cut. */
export class CutProxy {
  readonly #sockets = new Set<Socket>()
  readonly #server: Server
  #cuts = 0

  constructor(port: number) {
    this.#server = createServer((near) => {
      const far = dial(port, '127.0.0.1')
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(from)
        from.pipe(to)
        from.on('error', () => to.destroy())
        from.on('close', () => {
          to.destroy()
          this.#sockets.delete(from)
        })
      }
    })
  }

  /** How often something was cut. */
  get cuts(): number {
    return this.#cuts
  }

  /** Begins to listen; resolves with the port. */
  async listen(): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(0, '127.0.0.1', resolve)
    })
    return (this.#server.address() as { port: number }).port
  }

  /** Breaks every open connection. */
  cut(): void {
    if (this.#sockets.size > 0) this.#cuts++
    for (const socket of this.#sockets) {
      // A socket that is ending cannot be reset: libuv refuses, and the process would never exit.
      if (socket.writableEnded && !socket.writableFinished) socket.destroy()
      else socket.resetAndDestroy()
    }
  }

  close(): void {
    this.#server.close()
    this.cut()
  }
}
