import { Identity } from '@glueberry/node'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readInvite, writeInvite } from '../src/invite.ts'
import { printable } from '../src/printable.ts'

test('an invite there and back, the way in from another machine first', () => {
  const { peerId } = Identity.generate()
  const p2p = `/p2p/${peerId}`
  const addresses = [
    `/ip4/127.0.0.1/tcp/1${p2p}`,
    `/ip4/192.0.2.7/tcp/9000${p2p}`,
    `/ip6/2001:db8::1/tcp/2${p2p}`,
    `/dns/example.org/tcp/3${p2p}`,
    `/ip4/192.0.2.7/udp/4${p2p}`,
  ]
  const invite = writeInvite(addresses)
  expect(invite).toBe(`glueberry:${peerId}@192.0.2.7:9000,[2001:db8::1]:2,example.org:3,127.0.0.1:1`)
  expect(readInvite(` ${invite}\n`).toSorted()).toEqual(addresses.slice(0, 4).toSorted())
  expect(readInvite(addresses[0] as string)).toEqual([addresses[0]])
  expect(writeInvite([])).toBeUndefined()
})

test('nothing printable is lost, nothing else remains', () => {
  expect(printable('\u001b[31mred\u001b[0m and \u001b]8;;http://example.org\u0007a link')).toBe('red and a link')
  expect(printable('grüße 👋🏽 שלום 你好')).toBe('grüße 👋🏽 שלום 你好')
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: that none is left is what is tested
      expect(printable(text)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/)
    }),
    { numRuns: 2000 },
  )
})
