// Sends as fast as it may, from the first moment; SIGTERM ends it at any instant. It says what it was told about its messages.
const ending = new AbortController()
process.on('SIGTERM', () => ending.abort())
console.log('armed')

const { Identity, Node } = await import('@glueberry/node')
const address = process.argv[2] as string
const node = new Node({ identity: Identity.generate(), streams: ['x'], signal: ending.signal })
let accepted = 0
const undelivered: { from: number; count: number }[] = []
node.on('undelivered', ({ from, count }) => void undelivered.push({ from, count }))
console.log(`peer ${node.peerId}`)
try {
  await node.start()
  const peer = await node.connect(address, { signal: ending.signal })
  for (let i = 1; ; i++) {
    await node.send(peer, 'x', String(i))
    accepted++
    if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
} catch (error) {
  if (!ending.signal.aborted) throw error
}
await node.stop()
console.log(`stopped ${JSON.stringify({ accepted, undelivered })}`)
