import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { Child, eventually, FaultProxy, makeNode, pair, SimulatedClock } from '@glueberry/testkit'
import { expect, test, vi } from 'vitest'
import { Expiring } from '../src/expiring.ts'
import { Identity, type Logger, type Metrics, Node, type PeerId } from '../src/index.ts'
import { stderrLogger } from '../src/observe/logger.ts'
import { HandClock } from './support/hand-clock.ts'

class Recorder implements Metrics {
  readonly counters = new Map<string, number>()
  readonly gauges = new Map<string, number>()
  readonly histograms = new Map<string, number[]>()

  counter(name: string, value: number, labels: Record<string, string> = {}): void {
    const key = [name, ...Object.values(labels)].join(' ')
    this.counters.set(key, (this.counters.get(key) ?? 0) + value)
  }

  gauge(name: string, value: number, labels: Record<string, string> = {}): void {
    this.gauges.set([name, ...Object.values(labels)].join(' '), value)
  }

  histogram(name: string, value: number): void {
    this.histograms.set(name, [...(this.histograms.get(name) ?? []), value])
  }
}

test('metrics: what was counted, by Prometheus’ habits, and whole at the end', async () => {
  const metrics = new Recorder()
  await using alice = await makeNode({ streams: ['x'] })
  await using bob = await makeNode({ streams: ['x'], metrics, reconnect: { baseDelay: 1 } })
  await using proxy = await FaultProxy.to(alice.node.addrs[0] as string)
  alice.node.handle('x', () => {})
  const id = await bob.node.connect(proxy.address)
  for (let i = 0; i < 3; i++) await bob.node.send(id, 'x', 'four')
  await bob.node.flush()
  proxy.cut()
  await eventually(() => bob.events.at(-1)?.type === 'reconnected')
  await eventually(() => metrics.histograms.size > 0)
  await bob.node.removePeer(id)
  await bob.node.stop()
  expect(Object.fromEntries(metrics.counters)).toMatchObject({
    glueberry_messages_sent_total: 3,
    glueberry_sent_bytes_total: 12,
    'glueberry_sessions_established_total false': 1,
    'glueberry_sessions_established_total true': 1,
    'glueberry_disconnects_total io': 1,
    glueberry_reconnects_total: 1,
  })
  expect(metrics.gauges.get('glueberry_peers established')).toBe(0)
  for (const name of [...metrics.counters.keys(), ...metrics.gauges.keys(), ...metrics.histograms.keys()])
    expect(name).toMatch(/^glueberry_([a-z_]+_(total|bytes|seconds)|peers)( .*)?$/)
})

test('what is counted per message is reported once a second, also of a peer that comes back; metrics that throw harm nobody', async () => {
  const hand = new HandClock(1000)
  const metrics = new Recorder()
  const errors: string[] = []
  const nothing = (): void => undefined
  const logger: Logger = { debug: nothing, info: nothing, warn: nothing, error: (text) => void errors.push(text) }
  await using alice = await makeNode({ streams: ['x'] })
  alice.node.handle('x', () => {})
  const identity = Identity.generate()
  await using bob = new Node({ identity, streams: ['x'], metrics, logger }, hand.platform)
  await bob.start()
  for (let round = 1; round <= 3; round++) {
    const id = await bob.connect(alice.node.addrs)
    await bob.send(id, 'x', 'one', { confirm: true })
    hand.fire()
    await Promise.resolve()
    expect(metrics.counters.get('glueberry_messages_sent_total')).toBe(round)
    expect(metrics.gauges.get('glueberry_peers established')).toBe(1)
    await bob.removePeer(id)
  }
  metrics.counter = () => {
    throw new Error('mine')
  }
  const id = await bob.connect(alice.node.addrs)
  await bob.send(id, 'x', 'one', { confirm: true })
  hand.fire()
  await Promise.resolve()
  expect(errors).toEqual(['the metrics have failed'])
})

test('statistics of a peer that is gone are kept for an hour, go on when it comes back, and are copies', async () => {
  await using nodes = await pair(['x'])
  const { alice, bob, aliceId } = nodes
  alice.handle('x', () => {})
  await bob.send(aliceId, 'x', 'hello', { confirm: true })
  await bob.removePeer(aliceId)
  expect(bob.getPeer(aliceId)).toBeUndefined()
  const gone = bob.peerStats(aliceId)
  expect(gone).toMatchObject({ messagesSent: 1, bytesSent: 5, reconnects: 0, lastReason: { kind: 'local' } })
  expect(bob.allPeerStats().get(aliceId)).toEqual(gone)
  await bob.connect(alice.addrs)
  await bob.send(aliceId, 'x', 'hello', { confirm: true })
  expect(bob.peerStats(aliceId)).toMatchObject({ messagesSent: 2, bytesSent: 10, reconnects: 1 })
  expect(gone).toMatchObject({ messagesSent: 1 })

  const clock = new SimulatedClock()
  const forgotten: string[] = []
  const departed = new Expiring<PeerId, typeof gone>({
    clock,
    keep: 3_600_000,
    max: 10_000,
    expired: (id) => forgotten.push(id),
  })
  const stats = gone as NonNullable<typeof gone>
  departed.put('one' as PeerId, stats)
  clock.advance(1_800_000)
  departed.put('two' as PeerId, stats)
  clock.advance(1_800_000)
  expect([...departed].map(([id]) => id)).toEqual(['two'])
  clock.advance(1_800_000)
  expect([[...departed], clock.pending]).toEqual([[], 0])
  for (let i = 0; i < 10_001; i++) departed.put(`${i}` as PeerId, stats)
  expect(forgotten).toEqual(['one', 'two', '0'])
  expect([departed.get('0' as PeerId), departed.get('1' as PeerId)]).toEqual([undefined, stats])
  departed.close()
  expect(clock.pending).toBe(0)
})

test('every transition is logged with its reason', async () => {
  const lines: string[] = []
  const log = (text: string, fields: object = {}): void =>
    void lines.push(`${text}: ${JSON.stringify(fields, (key, value) => (key === 'peerId' ? undefined : value))}`)
  const logger: Logger = { debug: log, info: () => {}, warn: log, error: log }
  await using alice = await makeNode({ streams: ['x'] })
  await using bob = await makeNode({ streams: ['x'], logger, reconnect: { baseDelay: 1 } })
  await using proxy = await FaultProxy.to(alice.node.addrs[0] as string)
  await bob.node.connect(proxy.address)
  proxy.cut()
  await eventually(() => bob.events.at(-1)?.type === 'reconnected')
  await bob.node.disconnect(alice.node.peerId)
  await bob.node.removePeer(alice.node.peerId)
  const told = lines.filter((line) => line.startsWith('peer is ')).map((line) => line.replace(/,"error":"[^"]*"/, ''))
  expect(told.slice(0, 4)).toEqual([
    'peer is connecting: {"input":"dial"}',
    'peer is connected: {"input":"authenticated"}',
    'peer is established: {"input":"established"}',
    expect.stringMatching(/^peer is reconnecting: {"input":"lost","reason":"io","attempt":[12]}$/),
  ])
  expect(told.slice(-2)).toEqual([
    'peer is disconnected: {"input":"lost","reason":"local"}',
    'peer is closed: {"input":"close","reason":"removed"}',
  ])
})

test('without a logger, warnings and errors go to stderr: one line each, each kind at a pace', () => {
  const clock = new SimulatedClock()
  const lines: string[] = []
  const logger = stderrLogger(clock, (line) => lines.push(line))
  logger.debug('nothing')
  logger.info('nothing')
  for (let i = 0; i < 5; i++)
    logger.error('a handler failed', { stream: 'x', error: new Error(`number ${i}`), hint: undefined })
  logger.warn('another kind', { count: 2 })
  clock.advance(10_000)
  logger.error('a handler failed', { stream: 'x' })
  expect(lines).toEqual([
    'glueberry error: a handler failed stream=x error="number 0"',
    'glueberry warning: another kind count=2',
    'glueberry error: a handler failed stream=x (and 4 more like this)',
  ])
})

test('a program that configured nothing is told of a handler that throws, and of a listener that does; one with logger: false is not', async () => {
  const written = vi.spyOn(console, 'error').mockImplementation(() => {})
  try {
    await using nodes = await pair(['x'], { bob: { logger: false } })
    const { alice, bob, aliceId, bobId } = nodes
    for (const node of [alice, bob]) {
      node.handle('x', () => {
        throw new Error('the handler’s own')
      })
      node.on('handler-failed', () => {
        throw new Error('the listener’s own')
      })
    }
    await bob.send(aliceId, 'x', 'hello')
    await alice.send(bobId, 'x', 'hello')
    await Promise.all([bob.flush(), alice.flush()])
    await eventually(() => written.mock.calls.length >= 2)
    const lines = written.mock.calls.map(([line]) => String(line))
    expect(lines).toHaveLength(2)
    expect(lines[0]).toContain(`glueberry error: a handler failed stream=x peerId=${bobId}`)
    expect(lines[0]).toContain('the handler’s own')
    expect(lines[1]).toContain('an event handler failed event=handler-failed error="the listener’s own"')
  } finally {
    written.mockRestore()
  }
})

test('a stderr whose reader is gone does not end the program', async () => {
  const program = fileURLToPath(new URL('children/complaints.ts', import.meta.url))
  const args = ['--conditions=@glueberry/source', program]
  await using child = new Child(spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'pipe'] }))
  child.process.stderr.destroy()
  await child.line(/^ready$/)
  child.write('complain\n')
  await child.line(/^complained$/)
  expect(await child.ended).toBe(0)
})

test('at the level info the log tells an operator’s story', async () => {
  const lines: string[] = []
  const log = (text: string, fields: object = {}): void =>
    void lines.push(`${text} ${Object.keys(fields).join(' ')}`.trim())
  const nothing = (): void => {}
  const logger: Logger = { debug: nothing, info: log, warn: log, error: log }
  await using alice = await makeNode({ streams: ['x'] })
  const bob = new Node({ identity: Identity.generate(), streams: ['x'], logger, reconnect: { baseDelay: 1 } })
  await bob.addPeer(Identity.generate().peerId, ['/ip4/127.0.0.1/tcp/1'])
  await bob.start()
  const id = await bob.connect(alice.node.addrs)
  await alice.node.stop()
  await eventually(() => bob.getPeer(id)?.state === 'reconnecting')
  await bob.drain({ timeout: 0 })
  const story = [
    'listening peerId addresses',
    'dialing peerId address timeout',
    'peer is established peerId resumed',
    'peer is lost peerId reason',
    'peer is tried again peerId attempt delay',
    'node is draining peerId phase',
    'node is stopping peerId',
    'peers of the address book were never established count peerIds',
    'node is stopped peerId',
  ]
  let at = -1
  for (const line of story) {
    const next = lines.indexOf(line, at + 1)
    expect(next, `${line}\n${lines.join('\n')}`).toBeGreaterThan(at)
    at = next
  }
})
