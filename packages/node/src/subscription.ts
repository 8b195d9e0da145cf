import { Takers } from './takers.ts'

/** An async iterator that can be left, closed and disposed of at any time. */
export interface Subscription<T> extends AsyncDisposable {
  /** The next item; concurrent calls are served in order. `done` once it is closed. */
  next(): Promise<IteratorResult<T, undefined>>
  /** Ends it, with what it has buffered; all calls get one result. */
  close(): Promise<void>
  /** The same; what `for await` calls when it is left. */
  return(): Promise<IteratorResult<T, undefined>>
  [Symbol.asyncIterator](): this
}

/** Something that can be closed, once or more often. */
export interface Closable extends AsyncDisposable {
  /** Ends it; all calls get one result. */
  close(): Promise<void>
}

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined }

/** A subscription to a source that is asked for each item. */
export abstract class PulledSubscription<T> implements Subscription<T> {
  #ended = false
  readonly #takers = new Takers<IteratorResult<T, undefined>>(() => {
    const value = this.take()
    if (value !== undefined) return { done: false, value }
    return this.#ended ? DONE : undefined
  })

  /** The next value, if there is one now. */
  protected abstract take(): T | undefined

  abstract close(): Promise<void>

  next(): Promise<IteratorResult<T, undefined>> {
    return this.#takers.next()
  }

  /** There may be values. */
  wake(): void {
    this.#takers.wake()
  }

  async return(): Promise<IteratorResult<T, undefined>> {
    await this.close()
    return DONE
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** No more values come; what is there can still be taken. */
  protected finish(): void {
    this.#ended = true
    this.#takers.wake()
  }
}
