import type { Cancellable, Clock } from '../clock.ts'
import { GlueberryError } from '../errors.ts'
import type { AdmissionSlot } from '../transport.ts'

export interface AdmissionOptions {
  readonly clock: Clock
  /** Inbound connections that are not yet established, at most. */
  readonly max: number
  /** The same, from one address. */
  readonly maxPerAddress: number
  /** How long one may take until a session begins on it, in milliseconds; the session has a time-out of its own. */
  readonly timeout: number
}

/** Counts inbound connections from the first byte until they are established: who holds many there shuts nobody else out. */
export class Admission {
  readonly #options: AdmissionOptions
  readonly #perAddress = new Map<string, number>()
  #total = 0

  constructor(options: AdmissionOptions) {
    this.#options = options
  }

  /** A slot for one more from this address, which is aborted when it takes too long; `undefined` when there is none. */
  admit(address: string, abort: (error: Error) => void): AdmissionSlot | undefined {
    const { clock, max, maxPerAddress, timeout } = this.#options
    const count = this.#perAddress.get(address) ?? 0
    if (this.#total >= max || count >= maxPerAddress) return undefined
    this.#total++
    this.#perAddress.set(address, count + 1)
    let timer: Cancellable | undefined = clock.setTimer(() => {
      abort(
        new GlueberryError('HANDSHAKE_TIMEOUT', `a connection from ${address} began no session within ${timeout} ms`),
      )
    }, timeout)
    const stopTimer = (): void => {
      timer?.cancel()
      timer = undefined
    }
    let held = true
    return {
      sessionBegan: stopTimer,
      release: () => {
        stopTimer()
        if (held) this.#leave(address)
        held = false
      },
    }
  }

  #leave(address: string): void {
    this.#total--
    const count = (this.#perAddress.get(address) ?? 1) - 1
    if (count === 0) this.#perAddress.delete(address)
    else this.#perAddress.set(address, count)
  }
}
