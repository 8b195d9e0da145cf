import { Missing } from './contender.ts'

/** What a program can be told to do: each order takes one argument or none, and what it resolves to can be sent. */
export type OrdersOf<O> = { [K in keyof O]: (argument: never) => Promise<unknown> }

export interface Call {
  readonly id: number
  readonly order: string
  readonly argument: unknown
}

export type Reply =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: string; readonly missing: boolean }

/** Does what the benchmark tells this program over the channel between parent and child, until the parent is gone. */
export function obey<O extends OrdersOf<O>>(orders: O): void {
  process.on('message', (call: Call) => {
    void (async () => {
      let reply: Reply
      try {
        const order = orders[call.order as keyof O] as OrdersOf<Record<string, unknown>>[string]
        const result = await order(call.argument as never)
        reply = { id: call.id, result }
      } catch (error) {
        reply = { id: call.id, error: String((error as Error).message), missing: error instanceof Missing }
      }
      process.send?.(reply, undefined, undefined, () => {})
    })()
  })
  process.on('disconnect', () => process.exit())
}

/** Bytes after a garbage collection; `heap` includes what lies outside of V8's own. */
export interface Memory {
  readonly heap: number
  readonly rss: number
}

export async function memory(): Promise<Memory> {
  // Twice, with a turn between: what the first one frees may hold others.
  globalThis.gc?.()
  await new Promise((resolve) => setImmediate(resolve))
  globalThis.gc?.()
  const { heapUsed, external, rss } = process.memoryUsage()
  return { heap: heapUsed + external, rss }
}
