// One of two programs that talk: receives and prints numbers, or sends them. SIGTERM stops it at any instant.
// Nothing of ours is imported before the signal is listened to. What it has consumed is in the file RECORD before it is
// acknowledged: what was printed may still be on its way in this process when it is killed.
import { appendFileSync } from 'node:fs'

const ending = new AbortController()
let signals = 0
process.on('SIGTERM', () => {
  signals++
  ending.abort()
})
console.log('armed')

const { GlueberryError, Identity, Node } = await import('@glueberry/node')
const [role, key, target, listen] = process.argv.slice(2) as [string, string, string, string?]
const record = process.env['RECORD']
const node = new Node({
  identity: await Identity.loadOrCreate(key),
  streams: ['x'],
  listen: [listen ?? '/ip4/127.0.0.1/tcp/0'],
  reconnect: { baseDelay: 1, maxDelay: role === 'waits' ? 3_600_000 : 20, jitter: 'none', factor: 1000 },
  signal: ending.signal,
})
let stops = 0
node.on('status', ({ status }) => {
  if (status === 'stopped') stops++
})
node.on(['established', 'reconnecting', 'disconnected'], (event) => {
  const resumed = 'resumed' in event ? ` resumed ${event.resumed}` : ''
  console.log(`${event.type}${resumed}${event.type === 'reconnecting' ? ` after ${event.delay}` : ''}`)
})
node.handle('x', (message) => {
  const line = `got ${message.text()}${message.redelivered ? ' again' : ''}`
  if (record !== undefined) appendFileSync(record, `${line}\n`)
  console.log(line)
})

try {
  await node.start()
  console.log(`listening ${node.addrs[0]}`)
  if (target !== '-') {
    const peer = await node.connect(target, { signal: ending.signal })
    if (role === 'sends') {
      for (let i = 1; !ending.signal.aborted; i++) {
        await node.send(peer, 'x', String(i))
        if (i % 100 === 0) console.log(`sent ${i}`)
      }
    }
  }
  await new Promise((resolve) => ending.signal.addEventListener('abort', resolve))
} catch (error) {
  if (!ending.signal.aborted && !GlueberryError.is(error, 'STOPPED')) throw error
}
await node.stop()
console.log(`stopped ${stops} times, ${Math.min(signals, 1)} signals`)
