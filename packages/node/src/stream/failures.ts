import { FAILED_MAX } from '@glueberry/wire'

/** Messages of one name that were consumed without success, and whose sender waits to hear of them. */
export class Failures {
  #last: readonly number[] = []
  #untold: number[] = [] // in this session

  /** Those with the highest sequences, as READY tells them: of those before them, the sender then knows that it does not know. */
  get last(): readonly number[] {
    return this.#last
  }

  add(sequence: number): void {
    this.#last = [...this.#last, sequence].sort((a, b) => a - b).slice(-FAILED_MAX)
    this.#untold.push(sequence)
  }

  /** Those that the sender was not yet told of in this session; they are told now. */
  take(): readonly number[] {
    return this.#untold.splice(0)
  }

  /** The session is over: the next one's READY tells them. */
  detach(): void {
    this.#untold = []
  }

  /** Who waited to hear of them is gone. */
  clear(): void {
    this.#last = []
    this.#untold = []
  }
}
