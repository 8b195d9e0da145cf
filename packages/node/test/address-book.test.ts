import { execFileSync, spawn } from 'node:child_process'
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Child, eventually, makeNode, SimulatedClock, spawnNode } from '@glueberry/testkit'
import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { AddressBook } from '../src/address-book/address-book.ts'
import { FileLock } from '../src/address-book/file-lock.ts'
import type { OpenableStore } from '../src/address-book/store.ts'
import { type AddressBookStore, Identity, Node, type NodeOptions, type PeerId } from '../src/index.ts'
import { HandClock } from './support/hand-clock.ts'

const program = fileURLToPath(new URL('children/book.ts', import.meta.url))
const folders: string[] = []
const folder = (): string => {
  const made = mkdtempSync(join(tmpdir(), 'glueberry-book-'))
  folders.push(made)
  return made
}
afterAll(() => {
  for (const each of folders) rmSync(each, { recursive: true, force: true })
})
const bookPath = (): string => join(folder(), 'book.json')
const read = (path: string) => JSON.parse(readFileSync(path, 'utf8'))
const withBook = (addressBook: string | AddressBookStore, options: Partial<NodeOptions<'x'>> = {}) =>
  makeNode({ streams: ['x'], addressBook, reconnect: { baseDelay: 1, maxDelay: 20 }, ...options })

test('peers outlive the program: they are connected at the next start, and kept connected', async () => {
  const path = bookPath()
  const identity = Identity.generate()
  await using alice = await makeNode({ streams: ['x'] })
  const { peerId, addrs } = alice.node
  {
    await using bob = await withBook(path, { identity })
    await bob.node.addPeer(peerId, [...addrs, '/ip4/127.0.0.1/tcp/1'], { metadata: { name: 'Alice' } })
    expect(read(path)).toMatchObject({
      version: 1,
      peers: { [peerId]: { connect: true, metadata: { name: 'Alice' } } },
    })
    await eventually(() => bob.node.getPeer(peerId)?.state === 'established')
  }
  const [entry] = Object.values(read(path).peers) as { addresses: string[]; lastSeen: number }[]
  expect(entry?.addresses).toHaveLength(2)
  expect(entry?.lastSeen).toBeGreaterThan(1_700_000_000_000)
  await using bob = await withBook(path, { identity })
  expect(bob.node.getPeer(peerId)).toMatchObject({ saved: true, metadata: { name: 'Alice' } })
  await eventually(() => bob.node.getPeer(peerId)?.state === 'established')
  expect(readdirSync(join(path, '..')).sort()).toEqual(['book.json', 'book.json.lock'])
})

test('a peer that was removed is gone, one with `connect: false` is not dialed, addresses add up', async () => {
  const path = bookPath()
  const [one, two] = [Identity.generate().peerId, Identity.generate().peerId]
  {
    await using bob = await withBook(path)
    await bob.node.addPeer(one, ['/ip4/127.0.0.1/tcp/1'], { connect: false })
    await bob.node.addPeer(one, ['/ip4/127.0.0.1/tcp/2'], { connect: false, metadata: { a: 'b' } })
    await bob.node.addPeer(two, [], { connect: false })
    await bob.node.removePeer(two)
  }
  await using bob = await withBook(path)
  expect(bob.node.listPeers()).toMatchObject([
    { peerId: one, state: 'disconnected', addresses: ['/ip4/127.0.0.1/tcp/1', '/ip4/127.0.0.1/tcp/2'] },
  ])
  expect(bob.events.some(({ type }) => type === 'connecting')).toBe(false)
})

test('what was done before the start is done to what the file has', async () => {
  const path = bookPath()
  const [one, two, three, four] = Array.from({ length: 4 }, () => Identity.generate().peerId) as [
    PeerId,
    PeerId,
    PeerId,
    PeerId,
  ]
  const address = (port: number) => `/ip4/127.0.0.1/tcp/${port}`
  const before = {
    version: 1,
    peers: {
      [one]: { addresses: [address(1)], metadata: { name: 'Alice' }, lastSeen: 5, connect: false },
      [three]: { addresses: [] },
    },
    blocked: { [four]: { reason: 'spam' } },
  }
  writeFileSync(path, JSON.stringify(before))
  const node = new Node({ identity: Identity.generate(), streams: ['x'], addressBook: path })
  await node.addPeer(one, [address(2)], { connect: false })
  await node.addPeer(two, [], { connect: false })
  await node.removePeer(three)
  await node.unblockPeer(four)
  await node.blockPeer(two, { reason: 'noise' })
  expect(read(path)).toEqual(before)
  await node.start()
  expect(node.getPeer(one)).toMatchObject({ addresses: [address(2), address(1)], metadata: { name: 'Alice' } })
  await node.stop()
  expect(read(path)).toMatchObject({
    peers: { [one]: { addresses: [address(1), address(2)], metadata: { name: 'Alice' }, lastSeen: 5 }, [two]: {} },
    blocked: { [two]: { reason: 'noise' } },
  })
  expect(Object.keys(read(path).peers)).toEqual([one, two])
  expect(Object.keys(read(path).blocked)).toEqual([two])
})

test('fields and entries that are not known are written back as they were', async () => {
  const path = bookPath()
  const { peerId } = Identity.generate()
  const strange = {
    version: 1,
    note: 'mine',
    peers: {
      [peerId]: { addresses: ['/ip4/127.0.0.1/tcp/1', 'nonsense'], connect: false, colour: 'blue' },
      'not a peer': { addresses: 7 },
      [Identity.generate().peerId]: { addresses: ['not an address'] },
    },
    blocked: { somebody: 'strange' },
  }
  writeFileSync(path, JSON.stringify(strange))
  await using bob = await withBook(path)
  expect(bob.node.listPeers()).toHaveLength(2)
  await eventually(() => bob.errors.length > 0)
  expect(bob.errors).toMatchObject([
    {
      code: 'ADDRESS_BOOK',
      message: expect.stringMatching(
        /the address "nonsense" of .*; the peer id "not a peer"; the address "not an address" of .*; the peer id "somebody"/,
      ),
    },
  ])
  await bob.node.addPeer(peerId, ['/ip4/127.0.0.1/tcp/2'], { connect: false })
  const after = read(path)
  expect(after).toMatchObject({
    note: 'mine',
    peers: { 'not a peer': { addresses: 7 } },
    blocked: { somebody: 'strange' },
  })
  expect(after.peers[peerId]).toMatchObject({
    colour: 'blue',
    addresses: ['/ip4/127.0.0.1/tcp/1', '/ip4/127.0.0.1/tcp/2', 'nonsense'],
  })
})

test.each([
  ['half a file', '{"version":1,"peers":{"12D3'],
  ['no object', '[]'],
  ['no version', '{"peers":{}}'],
  ['an older form', '{"version":1,"peers":[]}'],
])('%s is set aside with a warning, and never overwritten', async (_, text) => {
  const path = bookPath()
  writeFileSync(path, text)
  await using bob = await withBook(path)
  await eventually(() => bob.errors.length > 0)
  expect(bob.errors).toMatchObject([{ code: 'ADDRESS_BOOK', message: expect.stringContaining('corrupt') }])
  await bob.node.addPeer(Identity.generate().peerId, [], { connect: false })
  const aside = readdirSync(join(path, '..')).find((name) => name.includes('corrupt')) as string
  expect(readFileSync(join(path, '..', aside), 'utf8')).toBe(text)
  expect(bob.errors[0]?.message).toContain(aside)
  expect(Object.keys(read(path).peers)).toHaveLength(1)
})

test('a byte order mark in front of a book is none of its text', async () => {
  const path = bookPath()
  writeFileSync(path, '\ufeff{"version":1,"peers":{}}')
  await using bob = await withBook(path)
  expect(bob.errors).toEqual([])
})

test('a path that is no regular file is refused: reading a pipe would never end', async () => {
  const path = bookPath()
  execFileSync('mkfifo', [path])
  await expect(withBook(path)).rejects.toMatchObject({
    code: 'ADDRESS_BOOK',
    message: expect.stringContaining('it is no regular file'),
  })
})

test('a book of a later version is neither read nor touched', async () => {
  const path = bookPath()
  writeFileSync(path, '{"version":2,"peers":{}}')
  await expect(withBook(path)).rejects.toMatchObject({
    code: 'ADDRESS_BOOK',
    message: expect.stringContaining('version 2'),
  })
  expect(readdirSync(join(path, '..'))).toEqual(['book.json'])
  // However often it is tried, with the same node too: nothing is held.
  const node = new Node({ identity: Identity.generate(), streams: ['x'], addressBook: path })
  for (let i = 0; i < 3; i++)
    await expect(node.start()).rejects.toMatchObject({ message: expect.stringContaining('version 2') })
  await node.stop()
  expect(readdirSync(join(path, '..'))).toEqual(['book.json'])
})

test('one writer: a second node is told who holds it, in this process and in another', async () => {
  const path = bookPath()
  {
    await using _first = await withBook(path)
    await expect(withBook(path)).rejects.toMatchObject({
      code: 'ADDRESS_BOOK',
      message: expect.stringContaining(`in use by process ${process.pid}`),
    })
    await using child = spawnNode([program, path])
    await child.line(new RegExp(`refused .*in use by process ${process.pid}`))
  }
  await using again = await withBook(path)
  expect(again.node.status).toBe('running')
})

test('a process that was killed holds its lock no longer, and leaves a whole file', async () => {
  const path = bookPath()
  let known = 0
  for (let round = 1; round <= 3; round++) {
    await using child = spawnNode([program, path])
    await child.line(/started/)
    for (let i = 0; i < 30; i++) child.write(`line ${i}\n`)
    await child.line(new RegExp(`added, ${known + 5} known`)) // in the midst of writing
    child.kill('SIGKILL')
    expect(await child.ended).toBe('SIGKILL')
    const before = known
    known = Object.keys(read(path).peers).length
    expect(known).toBeGreaterThanOrEqual(before + 5)
  }
  await using bob = await withBook(path)
  expect(bob.errors).toEqual([])
})

test('a lock of a process of another machine holds; one of an earlier start of this machine does not', async () => {
  const path = join(folder(), 'lock')
  const clock = new SimulatedClock()
  const lock = new FileLock(path, clock)
  expect(await lock.acquire()).toBeUndefined()
  const own = read(path)
  expect(await new FileLock(path, clock).acquire()).toBe(`process ${process.pid} on ${own.host}`)
  for (const [change, held] of [
    [{ host: 'elsewhere', boot: 'another' }, true],
    [{ boot: 'before', pid: process.pid }, false],
    [{ began: '1' }, false], // its number went to another process
    [{ pid: 2 ** 22 + 1 }, false],
    [{ pid: 2 ** 22 + 1, host: 'container', numbers: 'of its own' }, true],
  ] as const) {
    writeFileSync(path, JSON.stringify({ ...own, ...change }))
    expect([change, (await new FileLock(path, clock).acquire()) !== undefined]).toEqual([change, held])
  }
  // A lock that was taken from it is not its own to remove.
  writeFileSync(path, '{"pid":1}')
  expect(await lock.held()).toBe(false)
  await lock.release()
  expect(read(path)).toEqual({ pid: 1 })
  // Created and not written into: its program is about to, or died in between.
  writeFileSync(path, '')
  utimesSync(path, clock.now() / 1000 - 5, clock.now() / 1000 - 5)
  expect(await lock.acquire()).toBe('another program')
  utimesSync(path, clock.now() / 1000 - 11, clock.now() / 1000 - 11)
  expect(await lock.acquire()).toBeUndefined()
  await lock.release()
  expect(readdirSync(join(path, '..'))).toEqual([])
})

test('a full disk: the call and an event say so, the node lives on, and writes when there is room', async () => {
  const path = bookPath()
  // A process that may not write files of more than 4 KiB stands for a disk with so much room.
  await using child = new Child(
    spawn(
      'bash',
      ['-c', 'ulimit -f 4; exec "$@"', '-', process.execPath, '--conditions=@glueberry/source', program, path],
      {
        stdio: ['pipe', 'pipe', 'pipe'],
      },
    ),
  )
  await child.line(/started/)
  child.write('one\n')
  await child.line(/added, 1 known/)
  const before = readFileSync(path, 'utf8')
  child.write('two\n')
  await child.line(/failed ADDRESS_BOOK, 2 known/)
  await child.line(/error ADDRESS_BOOK .*EFBIG/)
  expect(readFileSync(path, 'utf8')).toBe(before)
  child.write('stop\n')
  expect(await child.ended).toBe(0)
  expect(readdirSync(join(path, '..'))).toEqual(['book.json']) // no half file, no lock
})

test('a read-only file is not written over: the call and an event say so, and the node lives on', async () => {
  const path = bookPath()
  writeFileSync(path, '{"version":1,"peers":{}}')
  chmodSync(path, 0o444)
  await using bob = await withBook(path)
  const { peerId } = Identity.generate()
  await expect(bob.node.addPeer(peerId, [], { connect: false })).rejects.toMatchObject({
    code: 'ADDRESS_BOOK',
    message: expect.stringContaining('read-only'),
    retryable: true,
  })
  await eventually(() => bob.errors.length === 1)
  expect(bob.node.getPeer(peerId)).toMatchObject({ saved: true })
  expect(readFileSync(path, 'utf8')).toBe('{"version":1,"peers":{}}')
  chmodSync(path, 0o644)
  await bob.node.stop() // tries once more
  expect(Object.keys(read(path).peers)).toEqual([peerId])
})

test('a book that is a link stays one; a folder that is not there is said', async () => {
  const path = bookPath()
  writeFileSync(path, '{"version":1,"peers":{}}')
  const link = join(folder(), 'link.json')
  symlinkSync(path, link)
  {
    await using bob = await withBook(link)
    await bob.node.addPeer(Identity.generate().peerId, [], { connect: false })
  }
  expect(Object.keys(read(path).peers)).toHaveLength(1)
  await expect(withBook(join(path, '..', 'nowhere', 'book.json'))).rejects.toMatchObject({
    code: 'ADDRESS_BOOK',
    message: expect.stringContaining('make it first'),
  })
  await expect(withBook(folder())).rejects.toMatchObject({ code: 'ADDRESS_BOOK' })
})

test('a start that fails releases the book', async () => {
  const path = bookPath()
  await using taken = await makeNode({ streams: ['x'] })
  const listen = [(taken.node.addrs[0] as string).replace(/\/p2p\/.*/, '')]
  await expect(withBook(path, { listen })).rejects.toMatchObject({ code: 'ADDRESS_IN_USE' })
  expect(readdirSync(join(path, '..'))).toEqual([])
  await using bob = await withBook(path)
  expect(bob.node.status).toBe('running')
})

test('of many that find a dead lock at once, one has it', async () => {
  const path = join(folder(), 'lock')
  const clock = {
    ...new SimulatedClock(),
    now: () => 0,
    randomBytes: (length: number) => globalThis.crypto.getRandomValues(new Uint8Array(length)),
  }
  for (let round = 0; round < 50; round++) {
    writeFileSync(path, JSON.stringify({ pid: 2 ** 22 + 1, host: hostname(), boot: 'before', numbers: '', began: '' }))
    const locks = Array.from({ length: 8 }, () => new FileLock(path, clock as never))
    await Promise.all(locks.map((lock) => lock.acquire()))
    const held = await Promise.all(locks.map((lock) => lock.held()))
    expect(held.filter(Boolean)).toHaveLength(1)
    for (const lock of locks) await lock.release()
    expect(readdirSync(join(path, '..'))).toEqual([])
  }
})

test('what could not be saved before a start that failed is not forgotten by the next one', async () => {
  await using taken = await makeNode({ streams: ['x'] })
  let saved: unknown
  let failing = true
  const { peerId } = Identity.generate()
  const node = new Node({
    identity: Identity.generate(),
    streams: ['x'],
    listen: [(taken.node.addrs[0] as string).replace(/\/p2p\/.*/, '')],
    addressBook: {
      load: async () => saved,
      save: async (book) => {
        if (failing) throw new Error('full')
        saved = book
      },
    },
  })
  await node.addPeer(peerId, [], { connect: false })
  await node.blockPeer(peerId, { reason: 'spam' })
  await expect(node.start()).rejects.toMatchObject({ code: 'ADDRESS_IN_USE' })
  expect(saved).toBeUndefined()
  failing = false
  await taken.node.stop()
  await node.start()
  await node.stop()
  expect(saved).toMatchObject({ peers: { [peerId]: {} }, blocked: { [peerId]: { reason: 'spam' } } })
})

test('a store that never answers keeps nobody: neither a start that is stopped, nor a stop', async () => {
  const hand = new HandClock(5000)
  const never = new Promise<never>(() => {})
  const options = { streams: ['x'], identity: Identity.generate() } as const
  const loading = new Node({ ...options, addressBook: { load: () => never, save: () => never } }, hand.platform)
  const starting = loading.start().catch((error: unknown) => error)
  const stopping = loading.stop()
  await eventually(() => hand.waiting > 0)
  hand.fire()
  expect(await starting).toMatchObject({ code: 'STOPPED' })
  await eventually(() => hand.waiting > 0 || loading.status === 'stopped')
  hand.fire()
  await stopping
  const saving = await new Node(
    { ...options, addressBook: { load: async () => undefined, save: () => never } },
    hand.platform,
  ).start()
  void saving.addPeer(Identity.generate().peerId, [], { connect: false })
  const stopped = saving.stop()
  await eventually(() => hand.waiting > 0)
  hand.fire()
  await stopped
})

test('a start that fails with a block that is to end leaves nothing that keeps a process alive', async () => {
  const path = bookPath()
  const blocked = { [Identity.generate().peerId]: { until: Date.now() + 3_600_000 } }
  writeFileSync(path, JSON.stringify({ version: 1, peers: {}, blocked }))
  const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
  const before = timers()
  await expect(withBook(path, { listen: ['/ip4/203.0.113.1/tcp/1'] })).rejects.toMatchObject({
    code: 'INVALID_ADDRESS',
  })
  await eventually(() => timers() <= before)
})

test('wrong arguments are refused, and harm no later save', async () => {
  await using bob = await withBook(bookPath())
  const { peerId } = Identity.generate()
  for (const options of [{ reason: 1n }, { duration: '1000' }, { duration: -1 }] as never[])
    await expect(bob.node.blockPeer(peerId, options)).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  for (const metadata of [['x'], new Map(), { a: 1 }, null] as never[])
    await expect(bob.node.addPeer(peerId, [], { metadata })).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  await bob.node.addPeer(peerId, [], { connect: false })
})

test('a store of the user’s own: one save at a time, with the last state; its failures are told', async () => {
  let saved: unknown
  let saving = 0
  let failing = false
  const store: AddressBookStore = {
    load: async () => saved,
    async save(book) {
      expect(++saving).toBe(1)
      await new Promise(setImmediate)
      saving--
      if (failing) throw new Error('the database is away')
      saved = book
    },
  }
  const ids = Array.from({ length: 20 }, () => Identity.generate().peerId)
  {
    await using bob = await withBook(store)
    await Promise.all(ids.map((id) => bob.node.addPeer(id, [], { connect: false })))
    expect(Object.keys((saved as { peers: object }).peers)).toEqual(ids)
    failing = true
    await expect(bob.node.removePeer(ids[0] as string as never)).rejects.toMatchObject({ code: 'ADDRESS_BOOK' })
    failing = false
  }
  expect(Object.keys((saved as { peers: object }).peers)).toEqual(ids.slice(1)) // written at the end
  saved = 'nonsense'
  await expect(withBook(store)).rejects.toMatchObject({ code: 'ADDRESS_BOOK' })
  await expect(withBook({ load: () => Promise.reject(new Error('no')), save: async () => {} })).rejects.toMatchObject({
    code: 'ADDRESS_BOOK',
  })
})

test('a block survives a restart, for a peer never seen too, holds both ways, and ends in its time', async () => {
  const path = bookPath()
  const identity = Identity.generate()
  await using alice = await makeNode({ streams: ['x'] })
  const { peerId } = alice.node
  {
    await using bob = await withBook(path, { identity })
    await bob.node.blockPeer(peerId, { reason: 'spam' })
    await bob.node.blockPeer(Identity.generate().peerId, { duration: 1 })
  }
  await using bob = await withBook(path, { identity })
  expect(bob.node.getPeer(peerId)).toMatchObject({ blocked: { reason: 'spam' }, saved: false })
  await expect(bob.node.connect(alice.node.addrs)).rejects.toMatchObject({ code: 'PEER_BLOCKED' })
  await expect(alice.node.connect(bob.node.addrs)).rejects.toMatchObject({ code: 'CONNECT_FAILED' })
  await eventually(() => bob.node.listPeers().length === 1) // the other one's time is over
  await bob.node.unblockPeer(peerId)
  await alice.node.connect(bob.node.addrs)
  expect(read(path).blocked).toEqual({})
})

test('a saved peer that is blocked stays in the book, and is connected again when it is unblocked', async () => {
  await using alice = await makeNode({ streams: ['x'] })
  await using bob = await withBook(bookPath())
  const { peerId } = alice.node
  await bob.node.addPeer(peerId, alice.node.addrs)
  await eventually(() => bob.node.getPeer(peerId)?.state === 'established')
  await bob.node.blockPeer(peerId)
  expect(bob.node.getPeer(peerId)).toMatchObject({ state: 'disconnected', saved: true, blocked: {} })
  await bob.node.unblockPeer(peerId)
  await eventually(() => bob.node.getPeer(peerId)?.state === 'established')
})

test('a peer that was blocked comes back by itself when that is over, whenever that is', async () => {
  await using alice = await makeNode({ streams: ['x'] })
  await using bob = await makeNode({ streams: ['x'], reconnect: { baseDelay: 1, maxDelay: 20 } })
  const { peerId } = alice.node
  await bob.node.addPeer(peerId, alice.node.addrs)
  await eventually(() => alice.node.health().peers.established === 1)
  await alice.node.blockPeer(bob.node.peerId, { duration: 2000 })
  await eventually(() => bob.events.filter(({ type }) => type === 'reconnecting').length > 2)
  await eventually(() => bob.node.getPeer(peerId)?.state === 'established')
  await alice.node.blockPeer(bob.node.peerId)
  await eventually(() => bob.node.getPeer(peerId)?.state === 'reconnecting')
  await alice.node.unblockPeer(bob.node.peerId)
  await eventually(() => bob.node.getPeer(peerId)?.state === 'established')
})

test.each([
  [{ addressBook: '' }, /addressBook must be/],
  [{ addressBook: 'a\0b' }, /addressBook must be/],
  [{ addressBook: { load: 1, save: 2 } }, /addressBook must be/],
  [
    { reconnect: { factor: 0, jitter: 'some', tries: 1, maxAttempts: -2 } },
    /reconnect.tries is not an option; reconnect.maxAttempts must be .* got -2; reconnect.factor must be a number .* got 0; reconnect.jitter must be .* got 'some'/,
  ],
  [{ reconnect: true }, /reconnect must be false or an object, got true/],
  [{ reconnect: null }, /reconnect must be false or an object, got null/],
  [{ reconnect: { delay: 5 } }, /reconnect.delay must be a function, got 5/],
  [{ reconnect: { valueOf: 1 } }, /reconnect.valueOf is not an option/],
  [{ flow: null }, /flow must be an object, got null/],
  [{ listen: null }, /listen must be/],
  [{ logger: null }, /logger.debug must be/],
  [{ metrics: null }, /metrics must be an object, got null/],
  [{ metrics: { counter: 1 } }, /metrics.counter must be a function, got 1/],
])('%j is refused by name', (options, text) => {
  expect(() => new Node({ identity: Identity.generate(), streams: ['x'], ...(options as object) })).toThrow(text)
})

test('whatever fails to be written, in whatever order: the next start finds what was asked for, with one change a peer', async () => {
  const peerIds = Array.from({ length: 3 }, () => Identity.generate().peerId)
  const address = fc.integer({ min: 1, max: 4 }).map((port) => `/ip4/127.0.0.1/tcp/${port}`)
  const step = fc.record({
    peer: fc.nat(2),
    do: fc.constantFrom('add', 'remove', 'seen', 'drop address', 'block', 'unblock', 'fail', 'work', 'reopen'),
    address,
    name: fc.constantFrom('a', 'b'),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      let stored: unknown
      let failing = false
      let size = 0
      const store: OpenableStore = {
        load: async () => stored,
        save: async (book) => {
          if (failing) throw new Error('full')
          stored = book
        },
        close: async () => {},
        setAside: async () => '',
      }
      const clock = new SimulatedClock()
      const make = () => new AddressBook({ store, clock, report: () => {} })
      let book = make()
      await book.open()
      const model = new Map<string, { addresses: string[]; name: string }>()
      const blocked = new Set<string>()
      for (const { peer, do: what, address, name } of steps) {
        const peerId = peerIds[peer] as PeerId
        const entry = model.get(peerId)
        const ignore = (): void => {}
        if (what === 'add') {
          await book.add(peerId, [address], { name }, true).catch(ignore)
          model.set(peerId, { addresses: [...new Set([...(entry?.addresses ?? []), address])], name })
        } else if (what === 'remove') {
          await book.remove(peerId).catch(ignore)
          model.delete(peerId)
        } else if (what === 'seen') {
          await book.seen(peerId, [address], 5).catch(ignore)
          if (entry !== undefined) entry.addresses = [address]
        } else if (what === 'drop address') {
          await book.removeAddresses(peerId, [address]).catch(ignore)
          if (entry !== undefined) entry.addresses = entry.addresses.filter((each) => each !== address)
        } else if (what === 'block' || what === 'unblock') {
          await book.block(peerId, what === 'block' ? { reason: 'x' } : undefined).catch(ignore)
          if (what === 'block') blocked.add(peerId)
          else blocked.delete(peerId)
        } else if (what === 'reopen') {
          await book.close() // a start that failed: what was not written is made again on what the store has
          await book.open()
        } else failing = what === 'fail'
        size = Math.max(size, book.unsaved)
      }
      failing = false
      await book.close()
      book = make()
      const blocks = await book.open()
      const found = [...book.entries].map(([id, { addresses, metadata }]) => [id, [...addresses].sort(), metadata])
      const expected = [...model].map(([id, { addresses, name }]) => [id, [...addresses].sort(), { name }])
      expect(found.sort()).toEqual(expected.sort())
      expect([...blocks.keys()].sort()).toEqual([...blocked].sort())
      expect(size).toBeLessThanOrEqual(3)
    }),
    { numRuns: 3000 },
  )
})
