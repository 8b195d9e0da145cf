import type { OpenOrder } from '../orders.ts'
import { PlayerProcess } from '../program-process.ts'
import type { Case } from '../results.ts'

interface CoupleOptions extends Partial<Pick<OpenOrder, 'names' | 'duplex' | 'unread'>> {
  /** Ends of the sender. */
  readonly endpoints?: number
  /** The receiver sends back what comes. */
  readonly echoes?: boolean
  /** The receiver connects to the sender, too. */
  readonly both?: boolean
  /** The beginning of the CPU profiles' names, if any are to be written. */
  readonly profile?: string | undefined
}

/** The two programs of a run, connected. */
interface Couple extends AsyncDisposable {
  readonly receiver: PlayerProcess
  readonly sender: PlayerProcess
}

/** A program that listens, and one whose ends are connected to it. */
export async function couple(
  { contender, size }: Case,
  { names = 1, duplex = false, endpoints = 1, echoes = false, both = false, profile, unread }: CoupleOptions = {},
): Promise<Couple> {
  const processes = ['receiver', 'sender'].map(
    (role) => new PlayerProcess(profile === undefined ? undefined : `${profile}-${role}`),
  )
  const [receiver, sender] = processes as [PlayerProcess, PlayerProcess]
  const end = async (): Promise<void> => {
    await Promise.all(processes.map((each) => each[Symbol.asyncDispose]()))
  }
  try {
    const options = { contender, size, names, duplex }
    const { address } = await receiver.tell('open', {
      ...options,
      ...(unread === undefined ? {} : { unread }),
      endpoints: 1,
      listens: true,
      echoFrom: echoes ? 0 : names,
    })
    const back = await sender.tell('open', { ...options, endpoints, listens: both, echoFrom: names })
    await sender.tell('connect', address)
    if (both) await receiver.tell('connect', back.address)
    return { receiver, sender, [Symbol.asyncDispose]: end }
  } catch (error) {
    await end()
    throw error
  }
}
