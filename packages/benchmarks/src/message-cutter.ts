/** Cuts a stream of bytes into messages of one size, with as little copying as there can be. */
export class MessageCutter {
  readonly #size: number
  readonly #receive: (message: Uint8Array) => void
  #partial: Uint8Array | undefined
  #filled = 0

  constructor(size: number, receive: (message: Uint8Array) => void) {
    this.#size = size
    this.#receive = receive
  }

  push(chunk: Uint8Array): void {
    const size = this.#size
    let at = 0
    while (at < chunk.length) {
      if (this.#partial === undefined && chunk.length - at >= size) {
        this.#receive(chunk.subarray(at, at + size))
        at += size
        continue
      }
      this.#partial ??= new Uint8Array(size)
      const part = chunk.subarray(at, at + size - this.#filled)
      this.#partial.set(part, this.#filled)
      this.#filled += part.length
      at += part.length
      if (this.#filled < size) return
      const whole = this.#partial
      this.#partial = undefined
      this.#filled = 0
      this.#receive(whole)
    }
  }
}
