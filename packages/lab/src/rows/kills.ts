import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Child, chance, spawnNode } from '@glueberry/testkit'
import type { SurvivorOptions } from '../children/survivor.ts'
import type { Row, RowResult } from '../row.ts'
import { within } from '../within.ts'

const program = fileURLToPath(new URL('../children/survivor.ts', import.meta.url))
/** The longest time between two faults, and for which a program is stopped, in milliseconds; a peer is silent after 1,000. */
const [BETWEEN, STOPPED] = [1500, 2500]

/** Two real processes that send to each other while either is killed and started again, or stopped for a while. */
export const kills: Row = {
  title: 'SIGKILL, SIGSTOP and SIGCONT, restart of either of two processes that send to each other',
  wanted: '100: nothing lost silently, nothing doubled, `redelivered` where due',
  async run({ seed, short, budget, progress }): Promise<RowResult> {
    const wanted = short ? 6 : 100
    const random = chance(seed)
    const begun = performance.now()
    const wait = (longest: number) => new Promise((resolve) => setTimeout(resolve, random() * longest))
    const folder = mkdtempSync(join(tmpdir(), 'glueberry-kills-'))
    const failures: string[] = []
    let kills = 0
    let pauses = 0
    try {
      await using alice = new Lives(folder, 1, 2)
      await using bob = new Lives(folder, 2, 1)
      const both = [alice, bob] as const
      await alice.begin(undefined)
      await bob.begin(alice)
      while (kills + pauses < wanted && performance.now() - begun < budget) {
        await wait(BETWEEN)
        const [victim, other] = random() < 0.5 ? both : ([bob, alice] as const)
        if (random() < 0.6) {
          kills++
          await victim.kill()
          if (random() < 0.3) await wait(STOPPED)
          await victim.begin(other)
        } else {
          pauses++
          victim.child.kill('SIGSTOP')
          await wait(STOPPED)
          victim.child.kill('SIGCONT')
        }
        progress(`${kills} killed, ${pauses} stopped for a while, of ${wanted}`)
      }
      if (kills + pauses < wanted) failures.push(`the time was up after ${kills + pauses} of ${wanted}`)
      const sent = await within(budget, 'not all is consumed', Promise.all(both.map((lives) => lives.finish()))).catch(
        (error: Error) => void failures.push(error.message),
      )
      const read = both.map((lives, i) => lives.read(sent?.[1 - i], both[1 - i] as Lives))
      for (const { wrong } of read) failures.push(...wrong)
      const [messages, again] = [read, read].map((each, i) =>
        each.reduce((sum, { consumed, redelivered }) => sum + (i === 0 ? consumed : redelivered), 0),
      ) as [number, number]
      // A few kills on a busy machine may all come before anything was sent.
      if (!short && again === 0) failures.push('no message came again: nothing was unread when its receiver was killed')
      return {
        passed: failures.length === 0,
        figure: `${kills} killed and started again, ${pauses} stopped for a while; ${messages.toLocaleString('en')} messages consumed, ${again.toLocaleString('en')} of them marked as redelivered`,
        failures: failures.map((failure) => `seed ${seed}: ${failure}`),
      }
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  },
}

/** One program, in all its lives. */
class Lives implements AsyncDisposable {
  readonly #folder: string
  readonly #own: number
  readonly #other: number
  readonly #wrong: string[] = []
  #life = 0
  #address: string | undefined
  child!: Child

  constructor(folder: string, own: number, other: number) {
    this.#folder = folder
    this.#own = own
    this.#other = other
  }

  #journal(life: number): string {
    return join(this.#folder, `${this.#own}-${life}`)
  }

  /** Starts it; from its second life on, it may be killed before it listens. */
  async begin(other: Lives | undefined): Promise<void> {
    const options: SurvivorOptions = {
      own: this.#own,
      other: this.#other,
      life: ++this.#life,
      listen: this.#address?.replace(/\/p2p\/.*/, '') ?? '/ip4/127.0.0.1/tcp/0',
      address: other === undefined ? undefined : other.#address,
      journal: this.#journal(this.#life),
    }
    this.child = spawnNode([program, JSON.stringify(options)])
    this.#address ??= (await this.child.line(/^address (.*)$/))[1] as string
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL')
    const how = await this.child.ended
    if (how !== 'SIGKILL') this.#wrong.push(`life ${this.#life} of ${this.#own} ended with ${how} by itself`)
    this.#look()
  }

  /** No more messages are sent; how many this life has sent, once all are consumed. */
  async finish(): Promise<number> {
    this.child.write('finish\n')
    const [, sent] = await this.child.line(/^sent (\d+)$/)
    this.#look()
    return Number(sent)
  }

  /** What all lives have consumed; `sent`: by the other one’s last life, if that is known. */
  read(
    sent: number | undefined,
    other: Lives,
  ): { readonly consumed: number; readonly redelivered: number; readonly wrong: readonly string[] } {
    const wrong = [...this.#wrong]
    const say = (life: number, text: string): void => void wrong.push(`${this.#own}, life ${life}: ${text}`)
    /** Of each life of the sender, how far it was consumed, by whichever life. */
    const through = new Map<number, number>()
    let consumed = 0
    let redelivered = 0
    for (let life = 1; life <= this.#life; life++) {
      if (!existsSync(this.#journal(life))) continue
      let before: { readonly from: number; readonly number: number; readonly again: boolean } | undefined
      for (const line of readFileSync(this.#journal(life), 'utf8').trimEnd().split('\n')) {
        const [from, number, mark] = line.split(' ').map(Number) as [number, number, number]
        const again = mark === 1
        const last = through.get(from) ?? 0
        consumed++
        if (again) redelivered++
        if (before?.from === from) {
          if (number !== before.number + 1) say(life, `${number} of ${from} after ${before.number}`)
          if (again && !before.again) say(life, `${number} of ${from} is marked, the one before is not`)
        } else {
          if (before !== undefined && from < before.from) say(life, `${number} of ${from} after one of ${before.from}`)
          if (number > last + 1) say(life, `${number} of ${from}, and only ${last} were consumed before`)
        }
        if (number <= last && !again) say(life, `${number} of ${from} was consumed before, and is not marked`)
        through.set(from, Math.max(last, number))
        before = { from, number, again }
      }
    }
    const last = through.get(other.#life) ?? 0
    if (sent !== undefined && last !== sent) say(this.#life, `${last} of the ${sent} of the last life were consumed`)
    return { consumed, redelivered, wrong }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.child?.[Symbol.asyncDispose]()
  }

  /** What a life has said that it must not say. */
  #look(): void {
    const { lines, errorLines } = this.child
    this.#wrong.push(...lines.filter((line) => line.startsWith('wrong')), ...errorLines)
  }
}
