import { once } from 'node:events'
import { type AddressInfo, createConnection, createServer, type Server, type Socket } from 'node:net'
import { eventually, makeNode, RawPeer, SimulatedClock } from '@glueberry/testkit'
import { encodeOpen, FIN_FRAME, FrameBuffer, FrameType } from '@glueberry/wire'
import { describe, expect, test } from 'vitest'
import { Dials } from '../src/connection/dials.ts'
import { decides } from '../src/connection/session-set.ts'
import { type HandshakePeer, Identity, Node, type PeerId, type Verdict } from '../src/index.ts'
import { LoopShare } from '../src/limits/loop-share.ts'
import { PendingMemory } from '../src/limits/pending-memory.ts'
import { peerIdBytes } from '../src/peer-id.ts'
import { HandClock } from './support/hand-clock.ts'

const open = (name = 'x'): Uint8Array => encodeOpen({ name, firstSequence: 1, redeliveredThrough: 0 })
const message = (size: number): Uint8Array => {
  const frames = new FrameBuffer(size + 16)
  frames.append(FrameType.MESSAGE, new Uint8Array(size))
  return frames.bytes
}
const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}
/** A peer that this node is ready for before it is itself. */
function follower(node: { readonly peerId: PeerId }): RawPeer {
  for (;;) {
    const identity = Identity.generate()
    if (decides(peerIdBytes(node.peerId), peerIdBytes(identity.peerId))) return new RawPeer(identity)
  }
}
const disconnected = (made: { events: readonly { type: string }[] }) =>
  made.events.find(({ type }) => type === 'disconnected')

describe('what is buffered for a peer', () => {
  test('a record longer than the credit ends the session when its length is known, before any of it is kept', async () => {
    const small = { limits: { messageSize: 2000 }, flow: { window: 4000, peerBudget: 8000, nodeBudget: 80_000 } }
    await using victim = await makeNode<'x'>({ streams: ['x'], ...small })
    await using peer = await new RawPeer().establish(victim.node)
    const { stream, send } = await peer.dataStream()
    send(open())
    stream.send([Uint8Array.of(0xff, 0xe1)]) // 65,505 bytes
    await eventually(() => disconnected(victim) !== undefined)
    expect(disconnected(victim)).toMatchObject({ reason: { kind: 'protocol' } })
  })

  test('before OPEN no record is longer than OPEN', async () => {
    await using victim = await makeNode<'x'>({ streams: ['x'] })
    await using peer = await new RawPeer().establish(victim.node)
    const { stream } = await peer.dataStream()
    stream.send([Uint8Array.of(0x01, 0x00)])
    await eventually(() => disconnected(victim) !== undefined)
    expect(disconnected(victim)).toMatchObject({ reason: { kind: 'protocol' } })
  })

  test('a record in tiny pieces ends the session; what is here of a record that is not whole counts as held', async () => {
    await using victim = await makeNode<'x'>({ streams: ['x'] })
    await using peer = await new RawPeer().establish(victim.node)
    const { stream, send } = await peer.dataStream()
    send(open())
    stream.send([Uint8Array.of(0xff, 0xe1), new Uint8Array(30_000)])
    await eventually(() => victim.node.health().held > 30_000)
    for (let i = 0; i < 400 && peer.goodbye === undefined; i++) {
      stream.send([new Uint8Array(20)])
      await turns(2)
    }
    await eventually(() => peer.goodbye === 'protocol')
    await eventually(() => victim.node.health().held === 0)
  })

  test('a record that has begun has a deadline, and so has a stream that says nothing', async () => {
    const hand = new HandClock(30_000) // timeouts.handshake
    const node = new Node(
      { identity: Identity.generate(), listen: ['/ip4/127.0.0.1/tcp/0'], streams: ['x'] },
      hand.platform,
    )
    await node.start()
    const reasons: string[] = []
    node.on('disconnected', ({ reason }) => reasons.push(reason.kind))
    await using peer = await new RawPeer().establish(node)
    await eventually(() => hand.waiting === 0) // established: nothing is awaited
    const silent = await peer.bareStream()
    silent.send([Uint8Array.of(1)])
    await eventually(() => hand.waiting === 1)
    let over = false
    void silent.received.over.then(() => {
      over = true
    })
    let fired = 0
    for (; !over; fired++) {
      hand.fire()
      await turns(20)
    }
    expect(fired).toBe(10) // the line is alive: it may be a slow one
    expect(node.getPeer(peer.identity.peerId)?.state).toBe('established') // a stray stream is one request
    const { stream, send } = await peer.dataStream()
    send(open())
    await eventually(() => hand.waiting === 0)
    stream.send([Uint8Array.of(0, 50), new Uint8Array(10)])
    await eventually(() => hand.waiting === 1)
    for (fired = 0; reasons.length === 0; fired++) {
      hand.fire()
      await turns(20)
    }
    expect([fired, reasons]).toEqual([10, ['timeout']]) // likewise
    await node.stop()
  })

  test('what still comes on the streams of a session that is over is charged to nobody', async () => {
    await using victim = await makeNode<'x'>({ streams: ['x'] })
    await using peer = await new RawPeer().establish(victim.node)
    const { stream, send } = await peer.dataStream()
    send(open())
    await turns(20)
    peer.setup() // twice: that ends the session
    for (let i = 0; i < 20; i++) {
      try {
        stream.send([Uint8Array.of(0xff, 0xe1), new Uint8Array(5000)].slice(i === 0 ? 0 : 1))
      } catch {
        break // the stream is reset
      }
      await turns(3)
    }
    await eventually(() => disconnected(victim) !== undefined)
    await turns(50)
    expect(victim.node.health().held).toBe(0)
  })

  test('failures that nobody waits for are requests that bring nothing', async () => {
    await using victim = await makeNode<'x'>({ streams: ['x'] })
    await using peer = await new RawPeer().establish(victim.node)
    const failures = Array.from({ length: 64 }, (_, i) => ({ name: 'x', sequence: 2 ** 50 + i }))
    for (let i = 0; i < 10_000 && peer.goodbye === undefined; i++) {
      peer.channel.send({ type: 'failed', failures })
      if (i % 100 === 0) await turns(1)
    }
    await eventually(() => peer.goodbye === 'protocol')
  })

  test('a peer opens no more data streams in a session than there are names', async () => {
    await using victim = await makeNode<'x' | 'y'>({ streams: ['x', 'y'] })
    await using peer = await new RawPeer().establish(victim.node)
    for (let i = 0; i < 2; i++) await peer.dataStream()
    await turns(50)
    expect(disconnected(victim)).toBeUndefined()
    await peer.dataStream()
    await eventually(() => disconnected(victim) !== undefined)
    expect(disconnected(victim)).toMatchObject({ reason: { kind: 'protocol' } })
  })

  test('before this side is ready, no data stream is kept at all', async () => {
    let decide = (): void => {}
    const handshake = (peer: HandshakePeer) =>
      new Promise<Verdict>((resolve) => {
        decide = () => resolve(peer.accept())
      })
    await using victim = await makeNode<'x'>({ streams: ['x'], handshake })
    await using peer = await new RawPeer().handshake(victim.node)
    peer.setup()
    const stream = await peer.bareStream()
    await stream.received.over // reset, without a byte of it
    expect(victim.node.getPeer(peer.identity.peerId)?.state).toBe('connected')
    decide()
  })
})

describe('what is not established', () => {
  test('memory for it has one budget: the newest stranger gives way, then the newest of all', () => {
    const memory = new PendingMemory(100)
    const dropped: string[] = []
    const make = (name: string, known: boolean) =>
      memory.open(
        () => known,
        () => dropped.push(name),
      )
    const [known, stranger, newest, idle] = [
      make('known', true),
      make('stranger', false),
      make('newest', false),
      make('idle', false),
    ]
    known.add(60)
    stranger.add(20)
    newest.add(20)
    idle.add(0)
    expect([memory.used, dropped]).toEqual([100, []])
    stranger.add(1)
    expect([memory.used, dropped]).toEqual([81, ['newest']])
    newest.add(1000) // it is gone
    known.add(30)
    expect([memory.used, dropped]).toEqual([90, ['newest', 'stranger']])
    known.add(20)
    expect([memory.used, dropped]).toEqual([0, ['newest', 'stranger', 'known']])
    idle.add(10)
    idle.add(-4)
    idle.release()
    idle.release()
    expect(memory.used).toBe(0)
  })

  test('what a peer sends before its READY is held in that budget; one that is kept waiting for READY loses its place', async () => {
    await using victim = await makeNode<'x'>({ streams: ['x'], limits: { pendingMemory: 64 * 1024 } })
    await using peer = await follower(victim.node).handshake(victim.node)
    peer.setup()
    await peer.listen() // it is ready; we are not
    const { send } = await peer.dataStream()
    send(open())
    for (let i = 0; i < 5; i++) send(message(20_000))
    await eventually(() => peer.heard.includes('refuse'))
    await using honest = await makeNode({ streams: ['x'] })
    await honest.node.connect(victim.node.addrs)
  })

  test('nothing reaches the application of a peer that never became ready', async () => {
    await using victim = await makeNode<'x'>({ streams: ['x'] })
    const handled: unknown[] = []
    victim.node.handle('x', (message) => void handled.push(message))
    await using peer = await follower(victim.node).handshake(victim.node)
    peer.setup()
    await peer.listen()
    const { stream, send } = await peer.dataStream()
    send(open(), message(5), FIN_FRAME)
    await stream.closeWrite()
    await turns(100)
    expect(handled).toEqual([])
  })

  test('a renewal that is never completed counts there too', async () => {
    await using victim = await makeNode<'x'>({ streams: ['x'], limits: { pendingMemory: 64 * 1024 } })
    await using peer = await follower(victim.node).establish(victim.node)
    await eventually(() => victim.node.getPeer(peer.identity.peerId)?.state === 'established')
    await peer.renew(victim.node)
    peer.setup()
    await peer.listen()
    const { send } = await peer.dataStream()
    send(open())
    for (let i = 0; i < 5; i++) send(message(20_000))
    await eventually(() => peer.heard.includes('refuse'))
  })

  test('frames that are not whole count there, before anything of ours has seen them', async () => {
    await using victim = await makeNode<'x'>({ streams: ['x'], limits: { pendingMemory: 64 * 1024 } })
    const [, port] = /tcp\/(\d+)/.exec(victim.node.addrs[0] as string) as unknown as [string, string]
    const closed: number[] = []
    const sockets = [0, 1, 2].map((number) => {
      const socket = createConnection(Number(port), '127.0.0.1')
      socket.on('close', () => closed.push(number))
      socket.on('error', () => {})
      const noise = Buffer.from('\x13/multistream/1.0.0\n\x07/noise\n', 'latin1')
      socket.write(noise)
      return socket
    })
    for (const [number, socket] of sockets.entries()) {
      await new Promise((resolve) => socket.once('data', resolve))
      socket.write(Buffer.concat([Buffer.of(0xff, 0xff), Buffer.alloc(30_000)])) // half of a frame
      await turns(20)
      expect(closed.filter((each) => each < number)).toEqual([])
    }
    await eventually(() => closed.length > 0)
    expect(closed).toEqual([2])
    for (const socket of sockets) socket.destroy()
  })

  test('nothing is reserved before a peer is established: idle handshakes make nobody BUSY', async () => {
    const names = Array.from({ length: 16 }, (_, i) => `n${i}`)
    const flow = { nodeBudget: 2 * 64 * 1024 * 1024 }
    await using victim = await makeNode<string>({ streams: names, flow })
    const idle = await Promise.all(
      Array.from({ length: 7 }, async () => {
        const peer = await follower(victim.node).handshake(victim.node)
        peer.setup()
        await peer.listen() // its first windows would take 112 MiB
        return peer
      }),
    )
    await using honest = await makeNode<string>({ streams: names })
    const id = await honest.node.connect(victim.node.addrs)
    await honest.node.send(id, 'n3', 'hello')
    for (const peer of idle) await peer[Symbol.asyncDispose]()
  })

  test('two connections from one address and port to two listeners are two: each has its own place and its own end', async () => {
    const hand = new HandClock(12_345)
    const any = '/ip4/127.0.0.1/tcp/0'
    const node = new Node(
      { identity: Identity.generate(), listen: [any, any], streams: ['x'], timeouts: { handshake: 12_345 } },
      hand.platform,
    )
    await node.start()
    const outgoing: Socket[] = []
    const free = createServer().listen(0, '127.0.0.1')
    await once(free, 'listening')
    const { port: localPort } = free.address() as AddressInfo
    await new Promise((resolve) => free.close(resolve))
    const relays: Server[] = []
    const addresses = []
    for (const address of node.addrs.filter((each) => each.startsWith('/ip4/127.0.0.1/'))) {
      const port = Number(/tcp\/(\d+)/.exec(address)?.[1])
      const relay = createServer((socket) => {
        const out = createConnection({ port, host: '127.0.0.1', localAddress: '127.0.0.1', localPort })
        out.on('connect', () => {
          outgoing.push(out)
        })
        for (const each of [socket, out]) each.on('error', () => {})
        socket.pipe(out).pipe(socket)
      }).listen(0, '127.0.0.1')
      await once(relay, 'listening')
      relays.push(relay)
      addresses.push(`/ip4/127.0.0.1/tcp/${(relay.address() as AddressInfo).port}/p2p/${node.peerId}`)
    }
    expect(addresses).toHaveLength(2)
    await using one = await makeNode({ streams: ['x'], reconnect: false })
    await using two = await makeNode({ streams: ['x'], reconnect: false })
    await one.node.connect(addresses[0] as string)
    await two.node.connect(addresses[1] as string)
    expect(outgoing.map((socket) => socket.localPort)).toEqual([localPort, localPort])
    await eventually(() => node.health().peers.established === 2)
    outgoing[0]?.destroy()
    await eventually(() => node.health().peers.established === 1)
    expect(hand.waiting).toBe(0) // no place is still held for a connection that is established
    hand.fire()
    await turns(20)
    expect(node.getPeer(two.node.peerId)?.state).toBe('established')
    await node.stop()
    for (const relay of relays) relay.close()
  })

  test('REFUSE 7 of a stranger tells nobody anything', async () => {
    await using victim = await makeNode<'x'>({ streams: ['x'] })
    await using peer = await new RawPeer().handshake(victim.node)
    peer.channel.send({ type: 'refuse', code: 'identity-in-use', reason: 'so they say' })
    await peer.stream.received.over
    await turns(20)
    expect(victim.errors).toEqual([])
    expect(victim.events.filter((event) => 'peerId' in event)).toEqual([])
  })
})

describe('the event loop', () => {
  test('work ends with its slice, waits in turns, and goes on in the next one', () => {
    const clock = new SimulatedClock()
    const share = new LoopShare(clock)
    const log: string[] = []
    const workers: Record<string, object> = { a: {}, b: {}, c: {} }
    const work = (name: string, left: number): void => {
      for (let i = left; i > 0; i--) {
        clock.stall(12)
        if (share.worked()) {
          log.push(`${name} ${left - i + 1}`)
          return share.wait(workers[name] as object, () => work(name, i - 1))
        }
      }
      log.push(`${name} done`)
    }
    work('a', 60)
    expect(share.crowded(workers['c'] as object)).toBe(true)
    work('b', 20)
    clock.advance(1000)
    expect(log.at(-1)).toBe('a done')
    expect(log.filter((line) => line.endsWith('done'))).toEqual(['b done', 'a done'])
    // In turns: none has two slices while the other waits.
    const names = log.slice(0, log.indexOf('b done')).map((line) => line[0])
    expect(names.every((name, i) => name !== names[i + 1])).toBe(true)
    expect(share.crowded(workers['c'] as object)).toBe(false)
  })

  test.each(['handle', 'async handle', 'messages'] as const)(
    'a hundred thousand empty messages, taken by %s, do not keep timers and sockets waiting',
    async (how) => {
      const count = 100_000
      const mib = 1024 * 1024 // a sender that asks is granted one largest message: 131,072 empty ones
      await using alice = await makeNode({
        streams: ['x'],
        limits: { messageSize: 32 * mib },
        flow: { window: 64 * mib, peerBudget: 64 * mib },
      })
      await using peer = await new RawPeer().establish(alice.node)
      await peer.want(count * 256)
      const { stream, send } = await peer.dataStream()
      send(open())
      let taken = 0
      let most = 0
      let last = 0
      // In each turn of the event loop: how many messages were taken since the one before.
      const watch = (): void => {
        most = Math.max(most, taken - last)
        last = taken
        if (taken < count) setImmediate(watch)
      }
      setImmediate(watch)
      if (how === 'handle') alice.node.handle('x', () => void spin(() => taken++))
      else if (how === 'async handle') alice.node.handle('x', async () => void spin(() => taken++))
      else {
        void (async () => {
          for await (const _ of alice.node.messages('x')) spin(() => taken++)
        })()
      }
      for (let sent = 0; sent < count; ) {
        const frames = new FrameBuffer(8192)
        for (let i = 0; i < 1000 && sent < count; i++, sent++) frames.append(FrameType.MESSAGE, new Uint8Array(0))
        send(frames.bytes)
        if (sent % 3000 === 0) await stream.writable()
      }
      await eventually(() => taken === count || peer.goodbye !== undefined)
      expect(peer.goodbye).toBeUndefined()
      // A slice of 50 ms holds 10,000 of these, and a few hundred may come before the time is looked at.
      expect(most).toBeLessThan(20_000)
    },
  )
})

/** Takes at least 5 µs. */
function spin(then: () => void): void {
  const end = performance.now() + 0.005
  while (performance.now() < end);
  then()
}

describe('dials', () => {
  const make = (max: number) => {
    const clock = new SimulatedClock()
    const dials = new Dials(clock, max)
    const begun: string[] = []
    const take = (name: string, urgency: 'asked' | 'lost' | 'background') =>
      dials.take(urgency, () => void begun.push(name))
    return { clock, dials, begun, take }
  }

  test('only some at once in the background, one after another; what is asked for begins at once', () => {
    const { clock, dials, begun, take } = make(2)
    const [a, , c] = [take('a', 'background'), take('b', 'background'), take('c', 'background')]
    expect(begun).toEqual(['a'])
    clock.advance(1000)
    expect([begun, dials.waiting]).toEqual([['a', 'b'], 1])
    take('asked', 'asked').end()
    expect(begun.at(-1)).toBe('asked')
    a.end()
    a.end()
    clock.advance(1000)
    expect(begun.at(-1)).toBe('c')
    take('d', 'background')
    take('lost', 'lost')
    c.end()
    expect([begun.at(-1), dials.waiting]).toEqual(['lost', 1]) // before those that were never there
  })

  test('one that waits begins when a caller asks for it, and leaves when it is not wanted any more', () => {
    const { clock, dials, begun, take } = make(1)
    take('a', 'background')
    const [b, c] = [take('b', 'background'), take('c', 'background')]
    c.hurry()
    c.hurry()
    expect(begun).toEqual(['a', 'c'])
    b.end()
    clock.advance(1000)
    expect([begun, dials.waiting]).toEqual([['a', 'c'], 0])
  })

  test('waiting for a turn does not use up the time of an address', async () => {
    const silent = createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as AddressInfo
    const dead = `/ip4/127.0.0.1/tcp/${port}`
    await using live = await makeNode({ streams: ['x'] })
    const node = new Node({
      identity: Identity.generate(),
      streams: ['x'],
      limits: { backgroundDials: 1 },
      timeouts: { connect: 300 },
      reconnect: { baseDelay: 1 },
    })
    for (let i = 0; i < 3; i++) await node.addPeer(Identity.generate().peerId, [dead])
    await node.addPeer(live.node.peerId, [dead, ...live.node.addrs])
    await node.start()
    await eventually(() => node.getPeer(live.node.peerId)?.state === 'established')
    await node.stop()
    silent.close()
  })

  test('dials of the background begin spread over time, and no timer is left', () => {
    const { clock, dials, begun, take } = make(1000)
    for (let i = 0; i < 101; i++) take(String(i), 'background')
    clock.advance(500)
    expect(begun).toHaveLength(51)
    dials.close()
    expect(clock.pending).toBe(0)
  })

  test('an address book of dead entries holds up neither the live one nor a caller', async () => {
    const silent = createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as AddressInfo
    await using live = await makeNode({ streams: ['x'] })
    await using other = await makeNode({ streams: ['x'] })
    const node = new Node({ identity: Identity.generate(), streams: ['x'], limits: { backgroundDials: 8 } })
    for (let i = 0; i < 150; i++) await node.addPeer(Identity.generate().peerId, [`/ip4/127.0.0.1/tcp/${port}`])
    await node.start()
    await eventually(() => node.health().peers.connecting === 8)
    await node.connect(other.node.addrs)
    await node.addPeer(live.node.peerId, live.node.addrs)
    await node.connect(live.node.peerId) // it waited behind 142 others
    expect(node.health().peers).toMatchObject({ established: 2, connecting: 8, disconnected: 142 })
    await node.stop()
    silent.close()
  })
})

test('all who wait for a slice are resumed in it, each when those that it has woken have run; consumers need not wait', async () => {
  const turns: (() => void)[] = []
  const clock = new SimulatedClock()
  clock.setImmediate = (task) => void turns.push(task)
  const share = new LoopShare(clock)
  const log: string[] = []
  const worker = (name: string): object => {
    const it = { name }
    void share.turn(it).then(async () => {
      log.push(`${name} ${share.crowded(it)}`)
      await null
      log.push(`${name} is consumed`)
    })
    return it
  }
  const [first] = [worker('first'), worker('second'), worker('third')]
  expect(share.crowded({})).toBe(true)
  expect(share.crowded(first as object)).toBe(true)
  turns.shift()?.() // and not the one after it
  await share.pause()
  await share.pause()
  await share.pause()
  expect(log).toEqual(['first', 'second', 'third'].flatMap((name) => [`${name} false`, `${name} is consumed`]))
  expect(share.crowded({})).toBe(false)
})
