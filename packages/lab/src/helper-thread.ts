import { Worker } from 'node:worker_threads'

/** A thread that answers one question after the other. What it throws rejects the question that it was asked. */
export class HelperThread<Question, Answer> implements AsyncDisposable {
  readonly #worker: Worker

  constructor(url: URL) {
    this.#worker = new Worker(url, { execArgv: ['--conditions=@glueberry/source'] })
  }

  /** One question at a time. */
  ask(question: Question): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#worker.once('message', (answer) => {
        this.#worker.off('error', reject)
        resolve(answer)
      })
      this.#worker.once('error', reject)
      this.#worker.postMessage(question)
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate()
  }
}
