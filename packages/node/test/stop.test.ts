import { fileURLToPath } from 'node:url'
import { makeNode, spawnNode } from '@glueberry/testkit'
import { expect, test } from 'vitest'
import { Identity, Node } from '../src/index.ts'

const program = fileURLToPath(new URL('children/stop-anytime.ts', import.meta.url))

// Real processes: each must exit by itself, with no timer, socket or listener left.
test.concurrent.each([
  'idle',
  'starting',
  'running',
  'dialing',
  'handshake',
  'setup',
  'established',
  'sending',
  'waiting',
  'draining',
  'refused',
  'reconnecting',
  'backing off',
  'renewing',
  'in a handler',
  'in an event',
])('a process whose node is stopped while %s exits by itself', async (moment) => {
  await using child = spawnNode([program, moment, '3'])
  expect([await child.ended, child.errorLines]).toEqual([0, []])
  expect(child.lines.map((line) => JSON.parse(line))).toEqual([{ left: [], status: ['stopped', 'stopped'] }])
})

test('stop gives everyone one promise, and the node is stopped for good', async () => {
  await using made = await makeNode({ streams: ['x'] })
  const { node } = made
  const stops = [node.stop(), node.stop(), node.stop()]
  expect(new Set(stops).size).toBe(1)
  expect(node.status).toBe('stopping')
  await stops[0]
  expect(node.status).toBe('stopped')
  await expect(node.start()).rejects.toMatchObject({ code: 'STOPPED' })
  expect(await node.drain()).toEqual({ complete: true, unsent: [], untaken: [] })
})

test('start may be called twice; a stop during start ends it, and the start says so', async () => {
  const node = new Node({ identity: Identity.generate(), streams: ['x'], listen: ['/ip4/127.0.0.1/tcp/0'] })
  await Promise.all([node.start(), node.start()])
  await node.start()
  await node.stop()

  const other = new Node({ identity: Identity.generate(), streams: ['x'], listen: ['/ip4/127.0.0.1/tcp/0'] })
  const starting = other.start()
  const outcome = expect(starting).rejects.toMatchObject({ code: 'STOPPED' })
  await other.stop()
  await outcome
  expect([other.status, other.addrs]).toEqual(['stopped', []])
})

test('disposal drains and stops', async () => {
  let node: Node | undefined
  {
    await using made = await new Node({ identity: Identity.generate(), streams: ['x'] }).start()
    node = made
  }
  expect(node.status).toBe('stopped')
})
