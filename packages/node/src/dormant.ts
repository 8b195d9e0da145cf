import type { Allowance } from './allowance.ts'
import type { RememberedSender } from './stream/receiver.ts'
import type { Remembered } from './stream/traffic.ts'

/** What is remembered of a stranger that is away and for which nothing is kept. */
export interface DormantState {
  /** This node's instance, as that peer knows it. */
  readonly instance: Uint8Array
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

/** Numbers for names, so that a name takes one or two characters of each dormant peer. */
export class NameNumbers {
  readonly #names: string[] = []
  readonly #numbers = new Map<string, number>()

  numberOf(name: string): number {
    let number = this.#numbers.get(name)
    if (number === undefined) {
      number = this.#names.push(name) - 1
      this.#numbers.set(name, number)
    }
    return number
  }

  nameOf(number: number): string {
    return this.#names[number] as string
  }
}

export function pack({ instance, receiver, traffic }: DormantState, names: NameNumbers): string {
  const numbers = (map: ReadonlyMap<string, number>): string =>
    [...map]
      .filter(([, sequence]) => sequence > 0)
      .map(([name, sequence]) => `${names.numberOf(name).toString(36)}.${sequence.toString(36)}`)
      .join(',')
  const sender = receiver === undefined ? [] : [base64(receiver.instance), base64(receiver.memory)]
  return [
    base64(instance),
    traffic.memory === undefined ? '' : base64(traffic.memory),
    numbers(traffic.sent),
    ...sender,
    receiver === undefined ? '' : numbers(receiver.received),
  ].join(' ')
}

export function unpack(text: string, names: NameNumbers): DormantState {
  const [instance, memory, sent, ...rest] = text.split(' ') as [string, string, string, ...string[]]
  const numbers = (part: string): Map<string, number> =>
    new Map(
      part === ''
        ? []
        : part.split(',').map((pair) => {
            const [name, sequence] = pair.split('.') as [string, string]
            return [names.nameOf(Number.parseInt(name, 36)), Number.parseInt(sequence, 36)] as const
          }),
    )
  const [remoteInstance, ownMemory, received] = rest as [string, string?, string?]
  return {
    instance: bytes(instance),
    traffic: { memory: memory === '' ? undefined : bytes(memory), sent: numbers(sent) },
    receiver:
      ownMemory === undefined || received === undefined
        ? undefined
        : { instance: bytes(remoteInstance), memory: bytes(ownMemory), received: numbers(received) },
  }
}

function base64(value: Uint8Array): string {
  return Buffer.from(value).toString('base64')
}

function bytes(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'base64'))
}
