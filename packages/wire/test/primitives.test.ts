import { ed25519 } from '@noble/curves/ed25519.js'
import { describe, expect, test } from 'vitest'
import { createAead as nobleAead } from '../src/aead-noble.ts'
import { createAead as nodeAead } from '../src/aead-node.ts'
import { concat } from '../src/bytes.ts'
import { WireError } from '../src/errors.ts'
import { hkdfSha256 } from '../src/hkdf.ts'
import { DhKey, IdentityKeys, toX25519 } from '../src/identity-keys.ts'
import { encapsulateWith, keyAgreement as nobleKeys } from '../src/key-agreement-noble.ts'
import { keyAgreement as nodeKeys } from '../src/key-agreement-node.ts'
import { bytes, hex } from './support/hex.ts'
import { describePublished } from './support/published.ts'

interface Wycheproof<Test, Group = object> {
  numberOfTests: number
  testGroups: (Group & {
    tests: (Test & { tcId: number; result: 'valid' | 'invalid' | 'acceptable'; flags: string[] })[]
  })[]
}

const platforms = [
  ['node', nodeAead],
  ['noble', nobleAead],
] as const

const agreements = [
  ['node', nodeKeys],
  ['noble', nobleKeys],
] as const

describe.each(agreements)('RFC 7748, by %s', (_, { x25519 }) => {
  test('section 5.2, iterated once and a thousand times', () => {
    let k = bytes('0900000000000000000000000000000000000000000000000000000000000000')
    let u = k
    const step = (): void => {
      ;[k, u] = [x25519(k).sharedSecret(u), k]
    }
    step()
    expect(hex(k)).toBe('422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079')
    for (let i = 1; i < 1000; i++) step()
    expect(hex(k)).toBe('684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51')
  })

  test('section 6.1, Diffie-Hellman', () => {
    const a = bytes('77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a')
    const b = bytes('5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb')
    expect(hex(x25519(a).publicKey)).toBe('8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a')
    expect(hex(x25519(a).sharedSecret(x25519(b).publicKey))).toBe(
      '4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742',
    )
  })
})

describe.each(platforms)('RFC 8439, section 2.8.2, by %s', (_, createAead) => {
  test('seal and open', () => {
    const aead = createAead(
      bytes('808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f'),
      'chacha20-poly1305',
    )
    const nonce = bytes('070000004041424344454647')
    const aad = bytes('50515253c0c1c2c3c4c5c6c7')
    const text =
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it."
    const sealed = concat(...aead.seal(nonce, aad, [new TextEncoder().encode(text)]))
    expect(hex(sealed)).toBe(
      'd31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b' +
        '1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc' +
        '3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691',
    )
    expect(new TextDecoder().decode(aead.open(nonce, aad, sealed))).toBe(text)
  })
})

describe('RFC 5869, appendix A', () => {
  test.each([
    [
      '0b'.repeat(22),
      '000102030405060708090a0b0c',
      'f0f1f2f3f4f5f6f7f8f9',
      42,
      '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865',
    ],
    [
      '0b'.repeat(22),
      '',
      '',
      42,
      '8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8',
    ],
  ])('case %#', (ikm, salt, info, length, okm) => {
    expect(hex(hkdfSha256(bytes(ikm), bytes(salt), bytes(info), length))).toBe(okm)
  })
})

describePublished<Wycheproof<{ public: string; private: string; shared: string }>>('wycheproof-x25519.json', (file) => {
  test.each(agreements)('every shared secret by %s; the all-zero ones refused', (_, { x25519 }) => {
    let refused = 0
    let count = 0
    for (const { tests } of file.testGroups) {
      for (const vector of tests) {
        count++
        if (/^0+$/.test(vector.shared)) {
          const key = x25519(bytes(vector.private))
          expect(() => key.sharedSecret(bytes(vector.public)), `${vector.tcId}`).toThrow()
          expect(() => new DhKey(bytes(vector.private)).sharedSecret(bytes(vector.public))).toThrow(WireError)
          refused++
        } else {
          const secret = x25519(bytes(vector.private)).sharedSecret(bytes(vector.public))
          expect(hex(secret), `${vector.tcId}`).toBe(vector.shared)
        }
      }
    }
    expect([count, refused]).toEqual([file.numberOfTests, 31])
  })
})

for (const [cipher, file, tests] of [
  ['chacha20-poly1305', 'wycheproof-chacha20-poly1305.json', 325],
  ['aes-256-gcm', 'wycheproof-aes-256-gcm.json', 66],
] as const) {
  describePublished<
    Wycheproof<
      { key: string; iv: string; aad: string; msg: string; ct: string; tag: string },
      { ivSize: number; keySize: number; tagSize: number }
    >
  >(file, (file) => {
    test.each(platforms)('every case, sealed and opened by %s', (_, createAead) => {
      let count = 0
      for (const { tests, ivSize } of file.testGroups) {
        for (const vector of tests) {
          count++
          // CounterCipher makes every nonce itself, 12 bytes long: another size cannot be asked for.
          if (ivSize !== 96) continue
          const aead = createAead(bytes(vector.key), cipher)
          const [nonce, aad, message] = [bytes(vector.iv), bytes(vector.aad), bytes(vector.msg)]
          const sealed = bytes(vector.ct + vector.tag)
          const opened = aead.open(nonce, aad, sealed)
          if (vector.result === 'valid') {
            expect(hex(concat(...aead.seal(nonce, aad, [message]))), `${vector.tcId}`).toBe(hex(sealed))
            expect(opened && hex(opened), `${vector.tcId}`).toBe(vector.msg)
          } else {
            expect(opened, `${vector.tcId}`).toBeUndefined()
          }
        }
      }
      expect(count).toBe(tests)
    })
  })
}

describePublished<Wycheproof<{ ikm: string; salt: string; info: string; size: number; okm: string }>>(
  'wycheproof-hkdf-sha256.json',
  (file) => {
    test('every output; too long a one refused', () => {
      let count = 0
      for (const { tests } of file.testGroups) {
        for (const vector of tests) {
          count++
          const derive = () => hkdfSha256(bytes(vector.ikm), bytes(vector.salt), bytes(vector.info), vector.size)
          if (vector.result === 'valid') expect(hex(derive()), `${vector.tcId}`).toBe(vector.okm)
          else expect(derive, `${vector.tcId}`).toThrow()
        }
      }
      expect(count).toBe(file.numberOfTests)
    })
  },
)

describePublished<Wycheproof<{ msg: string; sig: string }, { publicKey: { pk: string } }>>(
  'wycheproof-ed25519.json',
  (file) => {
    // This package signs nothing; it takes Ed25519 keys for what they are. So: the curve library's verdict on each
    // signature, and our conversion on each key.
    test('every signature is judged right, every key has its X25519 form', () => {
      let count = 0
      for (const { tests, publicKey } of file.testGroups) {
        const key = bytes(publicKey.pk)
        expect(toX25519(key)).toHaveLength(32)
        for (const vector of tests) {
          count++
          let valid = false
          try {
            valid = ed25519.verify(bytes(vector.sig), bytes(vector.msg), key, { zip215: false })
          } catch {
            // a signature of another size
          }
          expect(valid, `${vector.tcId}`).toBe(vector.result === 'valid')
        }
      }
      expect(count).toBe(file.numberOfTests)
    })
  },
)

describe('identity keys', () => {
  test('RFC 8032, section 7.1: the public keys of its seeds', () => {
    const cases = [
      [
        '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
        'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
      ],
      [
        '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
        '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
      ],
    ] as const
    for (const [seed, publicKey] of cases) expect(hex(new IdentityKeys(bytes(seed)).publicKey)).toBe(publicKey)
  })

  test('both ends agree, and the converted public key is that of the converted private key', () => {
    const [a, b] = [new IdentityKeys(bytes('01'.repeat(32))), new IdentityKeys(bytes('02'.repeat(32)))]
    expect(hex(a.sharedSecret(toX25519(b.publicKey)))).toBe(hex(b.sharedSecret(toX25519(a.publicKey))))
  })

  test('a key and its negation share one X25519 form, and are two PeerIds', () => {
    const { publicKey, peerId } = new IdentityKeys(bytes('05'.repeat(32)))
    const negated = ed25519.Point.fromBytes(publicKey).negate().toBytes()
    expect(hex(toX25519(negated))).toBe(hex(toX25519(publicKey)))
    expect(hex(peerId)).toContain(hex(publicKey))
    expect(hex(negated)).not.toBe(hex(publicKey))
  })

  // The eight points of low order (the identity, y = 1, among them) and encodings that are no point.
  test.each([
    ['y = 1', '0100000000000000000000000000000000000000000000000000000000000000'],
    ['order 2, y = −1', 'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'],
    ['order 4, y = 0', '0000000000000000000000000000000000000000000000000000000000000000'],
    ['order 4, y = 0, odd', '0000000000000000000000000000000000000000000000000000000000000080'],
    ['order 8', '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05'],
    ['order 8', '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85'],
    ['order 8', 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a'],
    ['order 8', 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa'],
    ['y = p, not reduced', 'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'],
    ['y = p + 1, not reduced', 'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'],
    ['not on the curve', '0200000000000000000000000000000000000000000000000000000000000000'],
    ['31 bytes', '00'.repeat(31)],
  ])('%s is INVALID_IDENTITY', (_, key) => {
    expect(() => toX25519(bytes(key))).toThrow(expect.objectContaining({ code: 'INVALID_IDENTITY' }))
  })

  test('destroyed keys throw', () => {
    const keys = new IdentityKeys(bytes('01'.repeat(32)))
    keys.destroy()
    expect(() => keys.sharedSecret(toX25519(keys.publicKey))).toThrow(expect.objectContaining({ code: 'DESTROYED' }))
  })
})

interface Kem {
  testGroups: {
    tests: { tcId: number; result: 'valid' | 'invalid'; seed: string; ek: string; c: string; K: string; m: string }[]
  }[]
}

describePublished<Kem>('wycheproof-mlkem-768.json', (file) => {
  test.each(agreements)('every key of a seed, and every decapsulation, by %s', (_, { kem }) => {
    let count = 0
    for (const { tests } of file.testGroups) {
      for (const { tcId, result, seed, ek, c, K } of tests) {
        count++
        const decapsulate = (): string => {
          const key = kem(bytes(seed))
          expect(hex(key.publicKey), `${tcId}`).toBe(ek)
          return hex(key.decapsulate(bytes(c)))
        }
        if (result === 'valid') expect(decapsulate(), `${tcId}`).toBe(K)
        else expect(decapsulate, `${tcId}`).toThrow()
      }
    }
    expect(count).toBe(193)
  })
})

describePublished<Kem>('wycheproof-mlkem-768-encaps.json', (file) => {
  test('every encapsulation with given randomness; malformed keys refused on each platform', () => {
    let count = 0
    for (const { tests } of file.testGroups) {
      for (const { tcId, result, ek, m, c, K } of tests) {
        count++
        if (result === 'valid') {
          const { cipherText, sharedSecret } = encapsulateWith(bytes(ek), bytes(m))
          expect([hex(cipherText), hex(sharedSecret)], `${tcId}`).toEqual([c, K])
          for (const [, { encapsulate }] of agreements) expect(encapsulate(bytes(ek)).cipherText).toHaveLength(1088)
        } else {
          expect(() => encapsulateWith(bytes(ek), bytes(m)), `${tcId}`).toThrow()
          for (const [, { encapsulate }] of agreements) expect(() => encapsulate(bytes(ek)), `${tcId}`).toThrow()
        }
      }
    }
    expect(count).toBe(192)
  })
})

test('what one platform has encapsulated, the other one opens; a ciphertext of another key gives both the same', () => {
  for (let i = 0; i < 20; i++) {
    const seed = globalThis.crypto.getRandomValues(new Uint8Array(64))
    const [node, noble] = [nodeKeys.kem(seed), nobleKeys.kem(seed)]
    expect(hex(node.publicKey)).toBe(hex(noble.publicKey))
    for (const { encapsulate } of [nodeKeys, nobleKeys]) {
      const { cipherText, sharedSecret } = encapsulate(node.publicKey)
      for (const key of [node, noble]) expect(hex(key.decapsulate(cipherText))).toBe(hex(sharedSecret))
      const broken = cipherText.slice()
      broken[i] = (broken[i] as number) ^ 1
      expect(hex(node.decapsulate(broken))).toBe(hex(noble.decapsulate(broken)))
    }
    node.destroy()
    expect(() => node.decapsulate(new Uint8Array(1088))).toThrow('destroyed')
  }
})
