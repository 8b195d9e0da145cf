import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Identity, Node } from '@glueberry/node'
import { type Child, chance, spawnNode } from '@glueberry/testkit'
import type { Moment } from '../children/power-cut.ts'
import type { Row, RowResult } from '../row.ts'

const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url))
/** A node with an address book, which adds a peer for each line that it reads, and says how that went. */
const program = path('../../../node/test/children/book.ts')
const powerCut = path('../children/power-cut.ts')
/** A file system of so many bytes; a peer takes some 3,000 in the book. */
const SIZE = '64k'
const FILLER = 30_000
/** How long a slow store takes for a save, in milliseconds. */
const SLOW = 300
const MOMENTS: readonly Moment[] = ['opened', 'half written', 'written', 'synced', 'renamed']

/** An address book on disks that fail. */
export const disk: Row = {
  title:
    'an address book on a full, a read-only and a vanishing file system, and in a slow store; several processes on one file; power cuts at every step of a save',
  wanted: 'never a lost or half-written book, always a clear event',
  async run({ seed, short, progress }): Promise<RowResult> {
    const cuts = short ? MOMENTS.length : 100
    const random = chance(seed)
    const folder = mkdtempSync(join(tmpdir(), 'glueberry-disk-'))
    const mounts = mayMount(folder)
    const failures: string[] = []
    const scenario = async (name: string, run: () => Promise<void>): Promise<void> => {
      progress(name)
      try {
        await run()
      } catch (error) {
        failures.push(`${name}: ${(error as Error).message}`)
      }
    }
    try {
      if (mounts) {
        await scenario('a full disk', () => withMount(folder, full))
        await scenario('a read-only disk', () => withMount(folder, readOnly))
        await scenario('a disk that vanishes and comes back', () => withMount(folder, vanishing))
      }
      await scenario('a slow store', slow)
      await scenario('several processes on one file', () => shared(join(folder, 'shared.json')))
      for (let i = 0; i < cuts; i++) {
        const moment = MOMENTS[i % MOMENTS.length] as Moment
        const save = 2 + Math.floor(random() * 8)
        await scenario(`power cut ${i + 1} of ${cuts}: save ${save}, ${moment}`, () =>
          cutAt(join(folder, `cut-${i}.json`), save, moment),
        )
      }
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
    return {
      passed: mounts && failures.length === 0,
      ...(mounts || failures.length > 0 ? {} : { notRun: 'this machine lets this user mount no file system' }),
      figure: `${mounts ? 'a full, a read-only and a vanishing file system, ' : ''}a slow store, 5 processes on one file, ${cuts} power cuts: ${failures.length === 0 ? 'no book was lost or half written, and each failure was told' : `${failures.length} not as they must be`}`,
      failures: failures.map((failure) => `seed ${seed}: ${failure}`),
    }
  },
}

function mount(...args: readonly string[]): void {
  execFileSync('mount', args, { stdio: 'pipe' })
}

function mayMount(folder: string): boolean {
  try {
    mount('-t', 'tmpfs', '-o', `size=${SIZE}`, 'tmpfs', folder)
    execFileSync('umount', [folder])
    return true
  } catch {
    return false
  }
}

/** A small file system of its own, at two places: what is taken away at one is still there at the other. */
async function withMount(folder: string, run: (there: string, behind: string) => Promise<void>): Promise<void> {
  const [there, behind] = [join(folder, 'there'), join(folder, 'behind')]
  for (const each of [there, behind]) mkdirSync(each, { recursive: true })
  mount('-t', 'tmpfs', '-o', `size=${SIZE}`, 'tmpfs', behind)
  mount('--bind', behind, there)
  try {
    await run(there, behind)
  } finally {
    for (const each of [there, behind]) {
      try {
        execFileSync('umount', ['-l', each], { stdio: 'pipe' })
      } catch {
        // it is not there any more
      }
    }
  }
}

async function full(there: string): Promise<void> {
  const filler = join(there, 'filler')
  const book = join(there, 'book.json')
  writeFileSync(filler, new Uint8Array(FILLER))
  await using keeper = await Keeper.start(book)
  const written: string[] = []
  while (await keeper.add()) written.push(keeper.last)
  const before = linesOf(book)
  keeper.mustHaveTold('ENOSPC')
  if (written.length === 0 || written.join() !== before.join()) throw new Error('the book is not what was written')
  rmSync(filler)
  if (!(await keeper.add())) throw new Error('there is room again, and nothing is written')
  keeper.mustBeWhole(book)
}

async function readOnly(there: string): Promise<void> {
  const book = join(there, 'book.json')
  await using keeper = await Keeper.start(book)
  if (!(await keeper.add())) throw new Error('nothing is written')
  mount('-o', 'remount,ro,bind', there)
  if (await keeper.add()) throw new Error('something is said to be written to a read-only disk')
  keeper.mustHaveTold('EROFS')
  if (linesOf(book).length !== 1) throw new Error('the book is not what was written')
  mount('-o', 'remount,rw,bind', there)
  if (!(await keeper.add())) throw new Error('it may be written again, and nothing is')
  keeper.mustBeWhole(book)
}

async function vanishing(there: string, behind: string): Promise<void> {
  const book = join(there, 'book.json')
  await using keeper = await Keeper.start(book)
  if (!(await keeper.add())) throw new Error('nothing is written')
  execFileSync('umount', ['-l', there])
  if (await keeper.add()) throw new Error('something is said to be written to a disk that is gone')
  keeper.mustHaveTold('ADDRESS_BOOK')
  if (existsSync(book)) throw new Error('a book was written where the disk was')
  mount('--bind', behind, there)
  if (!(await keeper.add())) throw new Error('the disk is back, and nothing is written')
  keeper.mustBeWhole(book)
}

/** The store takes its time; the node does not. */
async function slow(): Promise<void> {
  let saved: unknown
  let saving = 0
  let overlapped = false
  const node = new Node({
    identity: Identity.generate(),
    streams: ['x'],
    addressBook: {
      load: async () => saved,
      async save(book) {
        if (++saving > 1) overlapped = true
        await new Promise((resolve) => setTimeout(resolve, SLOW))
        saved = book
        saving--
      },
    },
  })
  await node.start()
  const ids = Array.from({ length: 20 }, () => Identity.generate().peerId)
  const writes = ids.map((id) => node.addPeer(id, ['/ip4/127.0.0.1/tcp/1'], { connect: false }))
  if (node.listPeers().length !== ids.length) throw new Error('peers are not known before they are written')
  await Promise.all(writes)
  const { peers } = saved as { readonly peers: Record<string, unknown> }
  if (ids.some((id) => peers[id] === undefined)) throw new Error('what was told to be written is not')
  await node.stop()
  if (overlapped) throw new Error('saves overlapped')
}

/** Of many that start at once, one has the book, and the others are told who. */
async function shared(book: string): Promise<void> {
  const children = Array.from({ length: 5 }, () => spawnNode([program, book]))
  try {
    const answers = await Promise.all(children.map(async (child) => (await child.line(/^(started|refused .*)$/))[1]))
    if (answers.filter((answer) => answer === 'started').length !== 1) throw new Error(answers.join('; '))
    const refused = answers.find((answer) => answer !== 'started') as string
    if (!/in use by process \d+/.test(refused)) throw new Error(`it is not said who has it: ${refused}`)
  } finally {
    for (const child of children) await child[Symbol.asyncDispose]()
  }
}

/** The power goes in the middle of a save; afterwards the book has everything that was told to be in it. */
async function cutAt(book: string, save: number, moment: Moment): Promise<void> {
  const env = { ...process.env, POWER_CUT: `${save}: ${moment}` }
  const written: string[] = []
  {
    await using keeper = await Keeper.start(book, ['--import', powerCut], env)
    try {
      for (;;) if (await keeper.add()) written.push(keeper.last)
    } catch {
      // the power is gone
    }
    if ((await keeper.child.ended) !== 'SIGKILL') throw new Error('the power did not go')
    const unsynced = keeper.child.lines.find((line) => line.startsWith('unsynced'))
    if (unsynced !== undefined) throw new Error(`${unsynced}: a power cut would leave an empty book`)
  }
  const lines = linesOf(book)
  const missing = written.find((line) => !lines.includes(line))
  if (missing !== undefined) throw new Error(`${missing} was told to be written, and is not`)
  await using keeper = await Keeper.start(book) // its lock is nobody's
  if (!(await keeper.add())) throw new Error('the book cannot be written any more')
  keeper.mustBeWhole(book)
}

/** What the peers in a book are marked with. Throws when it is no whole book. */
function linesOf(book: string): string[] {
  const { peers } = JSON.parse(readFileSync(book, 'utf8')) as {
    readonly peers: Record<string, { readonly metadata: { readonly line: string } }>
  }
  return Object.values(peers).map(({ metadata }) => metadata.line.trim())
}

/** A node with a book, in a process of its own. */
class Keeper implements AsyncDisposable {
  readonly child: Child
  readonly #added: string[] = []

  private constructor(child: Child) {
    this.child = child
  }

  static async start(
    book: string,
    args: readonly string[] = [],
    env: NodeJS.ProcessEnv = process.env,
  ): Promise<Keeper> {
    const keeper = new Keeper(spawnNode([...args, program, book], { env }))
    await keeper.child.line(/^started$/)
    return keeper
  }

  /** What the last peer is marked with. */
  get last(): string {
    return this.#added.at(-1) as string
  }

  /** Adds a peer; whether it was written. Rejects when the program ends instead. */
  async add(): Promise<boolean> {
    const number = this.#added.length + 1
    this.#added.push(`peer ${number}`)
    this.child.write(`${this.last}\n`)
    for (let answers = 0; ; ) {
      answers = this.child.lines.filter((line) => /^(added|failed)/.test(line)).length
      if (answers >= number) break
      if (this.child.process.exitCode !== null || this.child.process.signalCode !== null)
        throw new Error('it has ended')
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    return this.child.lines.findLast((line) => /^(added|failed)/.test(line))?.startsWith('added') === true
  }

  /** An event has said what is wrong. */
  mustHaveTold(what: string): void {
    const told = this.child.lines.filter((line) => line.startsWith('error '))
    if (!told.some((line) => line.includes(what))) throw new Error(`no event says ${what}: ${told.join('; ')}`)
  }

  /** Whatever was added is in the book, what could not be written at first too. */
  mustBeWhole(book: string): void {
    const lines = linesOf(book)
    const missing = this.#added.find((line) => !lines.includes(line))
    if (missing !== undefined) throw new Error(`${missing} is not in the book`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.child[Symbol.asyncDispose]()
  }
}
