import { Identity } from '@glueberry/node'
import { printable } from '@glueberry/terminal'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readArguments } from '../src/arguments.ts'
import { readInvite, writeInvite } from '../src/invite.ts'
import { NAME_MAX, Names, presentable } from '../src/names.ts'

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
    fc.property(anyText, (text) => {
      const shown = printable(text)
      expect(shown).not.toMatch(/[\p{Cc}\p{Co}\p{Cs}\p{Zl}\p{Zp}\p{Noncharacter_Code_Point}]/u)
      expect(shown).not.toMatch(/[\p{Cf}--[\u200c\u200d]]/v)
      expect(shown).not.toMatch(/[\p{Default_Ignorable_Code_Point}--[\p{Variation_Selector}\u200c\u200d]]/v)
      expect(shown).not.toMatch(/[\p{Zs}--[ ]]/v)
      expect(shown).not.toMatch(/^\p{M}| \p{M}|^[\u200c\u200d]|[\u200c\u200d]$|[\u200c\u200d]{2}|[\p{Mn}\p{Me}]{5}/u)
      expect(printable(shown)).toBe(shown)
    }),
    { numRuns: 5000 },
  )
})

/** Any characters, and often those that matter here. */
const anyText = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'binary', maxLength: 4 }),
      fc.constantFrom(
        'a',
        'ب',
        '👩',
        '🏽',
        ' ',
        '\u200c',
        '\u200d',
        '\ufe0f',
        '\u0301',
        '\u0489',
        '\u3164',
        '\u{e0061}',
        '\u001b[1m',
        ':',
        '*',
        '\u0301'.repeat(6),
      ),
    ),
    { maxLength: 40 },
  )
  .map((parts) => parts.join(''))

test.each([
  ['Arabic letter mark', 'a\u061cb', 'ab'],
  ['zero-width space', 'a\u200bb', 'ab'],
  ['word joiner, byte order mark, soft hyphen', 'a\u2060b\ufeffc\u00add', 'abcd'],
  ['tag characters', 'a\u{e0001}\u{e0041}\u{e007f}b', 'ab'],
  ['marks of direction', 'a\u200eb\u200fc\u202ed\u2066e\u2069', 'abcde'],
  ['interlinear annotation, musical controls', 'a\ufff9b\u{1d173}c', 'abc'],
  ['fillers, which are letters by their category', 'a\u115f\u1160\u3164\uffa0\u034fb', 'ab'],
  ['private use', 'a\ue000\u{f0000}\u{10fffd}b', 'ab'],
  ['lone surrogates', 'a\ud800b\udc00', 'ab'],
  ['noncharacters', 'a\ufdd0\uffff\u{1fffe}b', 'ab'],
  ['line and paragraph separators', 'a\u2028b\u2029c\u0085d\ne', 'abcde'],
  ['other spaces', 'a\u00a0b\u2003\u3000c\td\u2800e', 'a b c d e'],
  ['plain spaces stay', 'a  b', 'a  b'],
])('printable: %s', (_, text, shown) => expect(printable(text)).toBe(shown))

test.each([
  ['between letters', 'نمی\u200cخواهم', 'نمی\u200cخواهم'],
  ['in a conjunct', 'क्\u200dष', 'क्\u200dष'],
  ['a family', '👩\u200d👩\u200d👧', '👩\u200d👩\u200d👧'],
  ['with a skin tone and a selector', '👩🏽\u200d❤️\u200d👨🏿', '👩🏽\u200d❤️\u200d👨🏿'],
  ['a flag', '🏳️\u200d🌈', '🏳️\u200d🌈'],
  ['leading and trailing', '\u200da\u200c', 'a'],
  ['repeated', 'ب\u200d\u200c\u200dب', 'ب\u200dب'],
  ['beside a space, a digit, a sign', 'a\u200d 1\u200d2 .\u200db', 'a 12 .b'],
  ['around what is removed', 'a\u200d\u200b\u200db', 'a\u200db'],
])('joiners, %s', (_, text, shown) => expect(printable(text)).toBe(shown))

test('marks: what languages need stays; piled up, on nothing, or selecting nothing they go', () => {
  for (const text of ['Việt Nam'.normalize('NFD'), 'שָׁ֑לוֹם', 'ที่นี่', 'Ǟ'.normalize('NFD'), '1️⃣', '❤️'])
    expect(printable(text)).toBe(text)
  expect(printable(`z${'\u0301\u0489'.repeat(50)}y`)).toBe('z\u0301\u0489\u0301\u0489y')
  expect(printable(`z${'\u0301\u200d'.repeat(50)}y`).match(/\u0301/g)).toHaveLength(4)
  expect(printable('\u0301a \u0301b')).toBe('a b')
  expect(printable(`a${'\ufe0f'.repeat(20)}b`)).toBe('a\ufe0fb')
})

describe('names', () => {
  test.each([
    ['* Bob is here', 'Bob is here'],
    ['> ', ''],
    ['Bob: hi', 'Bob hi'],
    ['Bob\uff1a hi\u2236\ua789', 'Bob hi'],
    ['[#(-*> Bob', 'Bob'],
    ['\u2733\ufe0f Bob', 'Bob'],
    ['\u200d\u0301*Bob', 'Bob'],
    ['  Bob \u3000  B. ', 'Bob B.'],
    ['Zoë', 'Zoë'],
    ['🦊 fox', '🦊 fox'],
    ['4ever', '4ever'],
    ['\u001b[2J', ''],
    ['x'.repeat(40), 'x'.repeat(NAME_MAX)],
    [`${'🦊'.repeat(31)}👩\u200d👩`, `${'🦊'.repeat(31)}👩`],
  ])('%j is shown as %j', (said, shown) => expect(presentable(said)).toBe(shown))

  test('whatever is said, a name begins with a letter, a digit or an emoji, has no colon, and is short', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const name = presentable(text)
        expect(name).toMatch(/^$|^[\p{L}\p{N}\p{Emoji_Presentation}]/u)
        expect(name).not.toMatch(/:|\s{2}|\s$/)
        expect([...name].length).toBeLessThanOrEqual(NAME_MAX)
        expect(presentable(name)).toBe(name)
      }),
      { numRuns: 2000 },
    )
  })

  const { peerId: a } = Identity.generate()
  const { peerId: b } = Identity.generate()
  const { peerId: c } = Identity.generate()
  const end = (peerId: string): string => peerId.slice(-8)

  test('a name that is somebody else’s, or ours, or the program’s, gets the end of the peer’s id', () => {
    const names = new Names('Me')
    names.set(a, 'Bob')
    names.set(b, 'bob')
    names.set(c, 'me')
    expect([a, b, c].map((peerId) => names.get(peerId))).toEqual(['Bob', `bob ${end(b)}`, `me ${end(c)}`])
    for (const alike of ['B\u200dob', 'Ｂｏｂ', 'B ob', 'bob.', 'Invite', 'in another terminal']) {
      names.set(c, alike)
      expect(names.get(c)).toBe(`${presentable(alike)} ${end(c)}`)
    }
    names.set(c, '')
    expect(names.get(c)).toBe(end(c))
    expect(names.get(Identity.generate().peerId)).toMatch(/^\w{8}$/)
  })

  test('the end of an id is nobody else’s name', () => {
    const names = new Names('Me')
    names.set(a, 'Bob')
    names.set(b, `Bob ${end(c)}`)
    names.set(c, 'Bob')
    expect(names.get(b)).toBe(`Bob ${end(c)}`)
    expect(names.get(c)).toBe(c)
    names.set(a, end(c))
    names.set(c, '')
    expect(names.get(c)).toBe(c)
  })

  test('a peer that comes back is still called the same; a name is free when its peer is gone for good', () => {
    const names = new Names('Me')
    names.set(a, 'Bob')
    names.set(b, 'Bob')
    names.delete(a)
    names.set(b, 'Bob')
    expect(names.get(b)).toBe(`Bob ${end(b)}`)
    names.set(c, 'Bob')
    expect(names.get(c)).toBe('Bob')
  })
})

test('the level of the log: warn unless another is named; a wrong one is refused', () => {
  expect(readArguments([])).toMatchObject({ logLevel: 'warn' })
  expect(readArguments(['--log-level', 'debug'])).toMatchObject({ logLevel: 'debug' })
  expect(readArguments(['--log-level', 'loud'])).toEqual({
    problem: '--log-level must be one of silent, error, warn, info, debug, got "loud"',
  })
})
