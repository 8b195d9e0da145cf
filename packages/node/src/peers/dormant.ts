import type { Allowance } from '../limits/allowance.ts'
import type { PeerStats } from '../observe/stats.ts'
import type { RememberedSender } from '../stream/receiver.ts'
import type { Remembered } from '../stream/traffic.ts'

/** What is remembered of a stranger that is away and for which nothing is kept. */
export interface DormantState {
  /** This node's instance, as that peer knows it. */
  readonly instance: Uint8Array
  /** Of the last session with it: what the next SETUP tells. */
  readonly endedIds: readonly Uint8Array[]
  readonly receiver: RememberedSender | undefined
  readonly traffic: Remembered
}

/** The same in little memory: thousands of strangers may come, and go. */
export interface DormantPeer {
  readonly text: string
  /** A session was lost, and not by this program's doing. */
  readonly outage: boolean
  /** What it may still ask for: leaving gives it no more. */
  readonly allowance: Allowance
}

/** What an earlier record of a peer has left. */
export interface Earlier {
  readonly stats: PeerStats | undefined
  readonly state: DormantState | undefined
  readonly dormant: DormantPeer | undefined
}

/** Numbers for names, so that a name takes one or two characters of each dormant peer. */
export class NameNumbers {
  readonly #names: string[] = []
  readonly #numbers = new Map<string, { readonly number: number; users: number }>()
  /** Numbers that nobody uses any more. */
  readonly #free: number[] = []

  /** How many names have a number. */
  get size(): number {
    return this.#numbers.size
  }

  /** The number of a name, for one more user. */
  use(name: string): number {
    let entry = this.#numbers.get(name)
    if (entry === undefined) {
      entry = { number: this.#free.pop() ?? this.#names.length, users: 0 }
      this.#names[entry.number] = name
      this.#numbers.set(name, entry)
    }
    entry.users++
    return entry.number
  }

  /** One user less. */
  release(name: string): void {
    const entry = this.#numbers.get(name)
    if (entry === undefined || --entry.users > 0) return
    this.#numbers.delete(name)
    this.#free.push(entry.number)
  }

  nameOf(number: number): string {
    return this.#names[number] as string
  }
}

/** The state as one text of bytes (Latin-1): of all values in JavaScript the one that takes the least memory. It uses numbers for names until it is unpacked. */
export function pack({ instance, endedIds, receiver, traffic }: DormantState, names: NameNumbers): string {
  const out: number[] = []
  const bytes = (value: Uint8Array | undefined): void => void out.push(value?.length ?? 0, ...(value ?? []))
  const numbers = (sequences: ReadonlyMap<string, number>): void => {
    const used = [...sequences].filter(([, sequence]) => sequence > 0)
    pushNumber(out, used.length)
    for (const [name, sequence] of used) {
      pushNumber(out, names.use(name))
      pushNumber(out, sequence)
    }
  }
  bytes(instance)
  pushNumber(out, endedIds.length)
  for (const id of endedIds) bytes(id)
  bytes(traffic.memory)
  numbers(traffic.sent)
  pushNumber(out, traffic.sentOnWithdrawn)
  if (receiver !== undefined) {
    bytes(receiver.instance)
    bytes(receiver.memory)
    numbers(receiver.received)
  }
  return Buffer.from(out).toString('latin1')
}

/** The state of a text, which is then no longer to be used: its numbers for names are released. */
export function unpack(text: string, names: NameNumbers): DormantState {
  const packed = Buffer.from(text, 'latin1')
  let at = 0
  const bytes = (): Uint8Array => {
    const length = packed[at++] as number
    at += length
    return Uint8Array.from(packed.subarray(at - length, at))
  }
  const number = (): number => {
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      const byte = packed[at++] as number
      value += (byte % 128) * scale
      if (byte < 128) return value
    }
  }
  const numbers = (): Map<string, number> =>
    new Map(Array.from({ length: number() }, () => [names.nameOf(number()), number()] as const))
  const instance = bytes()
  const endedIds = Array.from({ length: number() }, bytes)
  const memory = bytes()
  const traffic = { memory: memory.length === 0 ? undefined : memory, sent: numbers(), sentOnWithdrawn: number() }
  const receiver = at === packed.length ? undefined : { instance: bytes(), memory: bytes(), received: numbers() }
  for (const name of [...traffic.sent.keys(), ...(receiver?.received.keys() ?? [])]) names.release(name)
  return { instance, endedIds, traffic, receiver }
}

/** Seven bits a byte, the lowest first; up to 2^53. */
function pushNumber(out: number[], value: number): void {
  let rest = value
  for (; rest >= 128; rest = Math.floor(rest / 128)) out.push((rest % 128) + 128)
  out.push(rest)
}
