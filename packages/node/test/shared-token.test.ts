import { randomBytes } from 'node:crypto'
import { makeNode, pair, RawPeer } from '@glueberry/testkit'
import { expect, test } from 'vitest'
import { GlueberryError, type HandshakePeer, sharedToken, type Verdict } from '../src/index.ts'

const secret = randomBytes(32)

test('those that know the secret come in, both ways', async () => {
  const handshake = sharedToken(secret)
  await using nodes = await pair(['x'], {
    alice: { handshake },
    bob: { handshake: sharedToken(new Uint8Array(secret)) },
  })
  await nodes.bob.send(nodes.aliceId, 'x', 'hello')
})

test('another secret is refused at both sides, and a side that knows none learns nothing', async () => {
  await using alice = await makeNode({ streams: ['x'], handshake: sharedToken(secret) })
  await using bob = await makeNode({ streams: ['x'], handshake: sharedToken(randomBytes(32)) })
  await expect(bob.node.connect(alice.node.addrs)).rejects.toMatchObject({ code: 'HANDSHAKE_REFUSED' })

  const heard: Uint8Array[] = []
  const listening = async (peer: HandshakePeer): Promise<Verdict> => {
    await peer.send(new Uint8Array(32))
    heard.push(await peer.receive())
    await peer.send(new Uint8Array(32))
    heard.push(await peer.receive()) // a proof would be next
    return peer.accept()
  }
  await using curious = await makeNode({ streams: ['x'], handshake: listening })
  await expect(curious.node.connect(alice.node.addrs)).rejects.toMatchObject({ code: 'HANDSHAKE_REFUSED' })
  expect(heard).toHaveLength(1) // its random number only
})

test('an echo of what was said is no proof', async () => {
  await using alice = await makeNode({ streams: ['x'], handshake: sharedToken(secret) })
  const echo = async (peer: HandshakePeer): Promise<Verdict> => {
    for (let i = 0; i < 2; i++) await peer.send(await peer.receive())
    return peer.accept()
  }
  await using mirror = await makeNode({ streams: ['x'], handshake: echo })
  // Whoever dials proves first, so each side is tried as the one that is dialed.
  await expect(alice.node.connect(mirror.node.addrs)).rejects.toMatchObject({ code: 'HANDSHAKE_REFUSED' })
})

test('a proof is bound to both peers, both random numbers and its direction', async () => {
  /** What a handshake says, with the other side played by the test. */
  const play = async (direction: 'inbound' | 'outbound', ids: [string, string], nonce: Uint8Array) => {
    const said: Uint8Array[] = []
    const answers = [nonce, new Uint8Array(32)]
    const peer = {
      direction,
      localPeerId: ids[0],
      peerId: ids[1],
      send: async (data: Uint8Array) => void said.push(data),
      receive: async () => answers.shift(),
      accept: () => 'accepted',
      refuse: (reason: string) => reason,
    }
    const verdict = await sharedToken(secret)(peer as unknown as HandshakePeer)
    return { verdict, said }
  }
  const nonce = new Uint8Array(32).fill(7)
  const proofs = new Set<string>()
  for (const ids of [
    ['a', 'b'],
    ['b', 'a'],
    ['a', 'c'],
  ] as [string, string][]) {
    const { verdict, said } = await play('outbound', ids, nonce)
    expect(verdict).toBe('wrong shared token')
    proofs.add(Buffer.from(said[1] as Uint8Array).toString('hex'))
  }
  expect(proofs.size).toBe(3)
  const inbound = await play('inbound', ['a', 'b'], nonce)
  expect([inbound.verdict, inbound.said.length]).toEqual(['wrong shared token', 1])
  expect((await play('inbound', ['a', 'b'], new Uint8Array(5))).verdict).toBe('no shared token')
})

test.each([['short'], [new Uint8Array(15)], [undefined], [5]])('%o is no secret', (wrong) => {
  expect(() => sharedToken(wrong as string)).toThrow(
    expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringContaining('at least 16 bytes') }),
  )
})

test('what a remote writes as its reason is printable in every error and event', async () => {
  const reason = '\u001b[2Jgone\u001b]52;c;aGk=\u0007\u202e\u200b\u061c\u{e0041}'
  await using alice = await makeNode({ streams: ['x'], handshake: async (peer) => peer.refuse(reason) })
  await using bob = await makeNode({ streams: ['x'] })
  const error = await bob.node.connect(alice.node.addrs).catch((thrown: unknown) => thrown)
  expect(GlueberryError.is(error, 'HANDSHAKE_REFUSED')).toBe(true)
  const texts = [error, ...bob.events].map((each) => (each instanceof Error ? each.message : JSON.stringify(each)))
  expect(texts[0]).toContain('gone')
  for (const text of texts) expect(text).not.toMatch(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}]|\\u001b/u)

  await using peer = await new RawPeer().handshake(alice.node)
  peer.channel.send({ type: 'refuse', code: 'application', reason })
  await peer.stream.received.over
})
