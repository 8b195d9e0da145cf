// A program that stops its node at a moment that it is told, and must then exit by itself. Prints what is left.
import { type HandshakePeer, Identity, Node } from '@glueberry/node'

const [moment, calls] = [process.argv[2] as string, Number(process.argv[3] ?? 1)]
const listen = ['/ip4/127.0.0.1/tcp/0']
const handshake = async (peer: HandshakePeer) => (moment === 'refused' ? peer.refuse('no') : peer.accept())
const make = () =>
  new Node({
    handshake,
    identity: Identity.generate(),
    listen,
    streams: ['x'],
    // Keys are renewed about when it stops.
    ...(moment === 'renewing' ? { timeouts: { session: 1000 } } : {}),
    // The first attempt after a loss comes at once, the second one not before the end of the test.
    reconnect: { baseDelay: 3_600_000, jitter: 'none' },
    limits: { messageSize: 10_000 },
    flow: { window: 20_000 },
  })
const [a, b] = [make(), make()]

process.on('unhandledRejection', (error) => {
  console.log('UNHANDLED', error)
  process.exitCode = 1
})

async function stop(): Promise<void> {
  const promises = Array.from({ length: calls }, () => a.stop())
  if (new Set(promises).size !== 1) throw new Error('stop gave different promises')
  await Promise.all([...promises, b.stop()])
}

const ignore = (): void => {}
switch (moment) {
  case 'idle':
    break
  case 'starting':
    a.start().catch(ignore)
    break
  case 'running':
    await a.start()
    break
  case 'refused':
    await Promise.all([a.start(), b.start()])
    await a.connect(b.addrs).catch(ignore)
    break
  case 'dialing':
  case 'handshake':
  case 'setup': {
    await Promise.all([a.start(), b.start()])
    a.connect(b.addrs).catch(ignore)
    if (moment === 'handshake') await new Promise<void>((resolve) => b.on('connected', () => resolve()))
    if (moment === 'setup') await new Promise<void>((resolve) => a.on('connected', () => resolve()))
    break
  }
  case 'reconnecting':
  case 'backing off': {
    await Promise.all([a.start(), b.start()])
    const peer = await a.connect(b.addrs)
    const attempts = moment === 'backing off' ? 2 : 1
    const reached = new Promise<void>((resolve) =>
      a.on('reconnecting', ({ attempt }) => (attempt === attempts ? resolve() : undefined)),
    )
    await b.stop()
    await reached
    a.send(peer, 'x', 'never').catch(ignore)
    a.flush().catch(ignore)
    break
  }
  case 'renewing': {
    await Promise.all([a.start(), b.start()])
    const peer = await a.connect(b.addrs)
    b.handle('x', ignore)
    const over = performance.now() + 998 + 10 * Math.random()
    while (performance.now() < over) await a.send(peer, 'x', new Uint8Array(5000), { confirm: true })
    break
  }
  case 'established':
  case 'sending':
  case 'waiting':
  case 'draining':
  case 'in a handler':
  case 'in an event': {
    await Promise.all([a.start(), b.start()])
    if (moment === 'in an event') {
      const stopped = new Promise<void>((resolve) => a.on('established', () => void a.stop().then(resolve)))
      await a.connect(b.addrs).catch(ignore)
      await stopped
      break
    }
    const peer = await a.connect(b.addrs)
    if (moment === 'established') break
    if (moment === 'in a handler') {
      const stopped = new Promise<void>((resolve) => a.handle('x', () => a.stop().then(resolve)))
      await b.connect(a.addrs)
      await b.send(a.peerId, 'x', 'stop')
      await stopped
      break
    }
    const sends = Array.from({ length: 50 }, () =>
      a.send(peer, 'x', new Uint8Array(5000), { confirm: moment === 'waiting' }).catch(ignore),
    )
    if (moment === 'sending') await sends[0]
    if (moment === 'draining') void a.drain()
    if (moment === 'waiting') a.flush().catch(ignore)
    break
  }
  default:
    throw new Error(`unknown moment ${moment}`)
}
await stop()
// What keeps the process alive, but for its own standard streams. libp2p's queues tell of being empty a millisecond
// later: a tenth of a second for that, which a timer that was really left behind outlives.
const resources = () =>
  process.getActiveResourcesInfo().filter((name) => !/^(PipeWrap|TTYWrap|TickObject|Immediate)$/.test(name))
const end = performance.now() + 100
while (resources().length > 0 && performance.now() < end) await new Promise<void>((resolve) => setImmediate(resolve))
const left = resources()
console.log(JSON.stringify({ left, status: [a.status, b.status] }))
