import { randomBytes } from 'node:crypto'
import { link, open, rm } from 'node:fs/promises'
import { IDENTITY_KEY_LENGTH, IdentityKeys } from '@glueberry/wire'
import { GlueberryError } from './errors.ts'
import { type PeerId, peerIdOfKey } from './peer-id.ts'

const secretSeeds = new WeakMap<Identity, Uint8Array>()

/** What the first line of an identity file says, so that no other file is taken for one. */
const FILE_HEADER = 'glueberry identity 1'

/** A node's long-term Ed25519 key. It never shows its private part. */
export class Identity {
  /** The id that others know this node by. */
  readonly peerId: PeerId
  readonly #publicKey: Uint8Array<ArrayBuffer>

  private constructor(seed: Uint8Array) {
    const keys = new IdentityKeys(seed)
    this.#publicKey = keys.publicKey
    this.peerId = peerIdOfKey(this.#publicKey)
    keys.destroy()
    secretSeeds.set(this, Uint8Array.from(seed))
  }

  /** A new identity, from the platform's random numbers. It is gone with the program: see {@link Identity.loadOrCreate}. */
  static generate(): Identity {
    return new Identity(randomBytes(IDENTITY_KEY_LENGTH))
  }

  /**
   * The identity of a seed that is kept elsewhere.
   *
   * @param seed 32 bytes, the Ed25519 private key of RFC 8032; copied
   * @throws GlueberryError `INVALID_IDENTITY` when it is not 32 bytes
   */
  static fromSeed(seed: Uint8Array): Identity {
    if (!(seed instanceof Uint8Array) || seed.length !== IDENTITY_KEY_LENGTH) {
      const got = seed instanceof Uint8Array ? `${seed.length} bytes` : typeof seed
      throw new GlueberryError('INVALID_IDENTITY', `an identity's seed must be a Uint8Array of 32 bytes, got ${got}`)
    }
    return new Identity(seed)
  }

  /**
   * Reads the identity in the file at `path`, or makes a new one there, readable by its owner only (mode 600).
   * Two programs that start at once on a missing file get the same identity.
   *
   * @throws GlueberryError `INVALID_IDENTITY` when others can read the file, or it does not hold an identity
   */
  static async loadOrCreate(path: string): Promise<Identity> {
    return (await load(path)) ?? (await create(path))
  }

  /** The Ed25519 public key, 32 bytes; a copy. */
  get publicKey(): Uint8Array<ArrayBuffer> {
    return this.#publicKey.slice()
  }
}

/** The private seed of an identity, for this package only; a copy, to be zeroed after use. */
export function seedOf(identity: Identity): Uint8Array {
  const seed = secretSeeds.get(identity)
  if (seed === undefined) throw new GlueberryError('INVALID_IDENTITY', 'not an Identity of this library')
  return Uint8Array.from(seed)
}

async function load(path: string): Promise<Identity | undefined> {
  const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw unusable(path, error.message, undefined, error)
  })
  if (file === undefined) return undefined
  try {
    const { mode } = await file.stat()
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
      throw unusable(path, `others can read it (mode ${(mode & 0o777).toString(8)})`, `chmod 600 ${path}`)
    }
    const text = await file.readFile('utf8')
    const match = /^glueberry identity 1\n([0-9a-f]{64})\n$/.exec(text)
    if (match?.[1] === undefined) {
      throw unusable(path, 'it does not hold an identity', 'use another path, or remove the file to get a new identity')
    }
    return Identity.fromSeed(Buffer.from(match[1], 'hex'))
  } catch (error) {
    if (GlueberryError.is(error)) throw error
    throw unusable(path, (error as Error).message, undefined, error)
  } finally {
    await file.close()
  }
}

async function create(path: string): Promise<Identity> {
  const seed = randomBytes(IDENTITY_KEY_LENGTH)
  const temporary = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`
  try {
    const file = await open(temporary, 'wx', 0o600)
    try {
      await file.writeFile(`${FILE_HEADER}\n${seed.toString('hex')}\n`)
      await file.sync()
    } finally {
      await file.close()
    }
    // A link, not a rename: a second program finds the identity of the first instead of replacing it.
    await link(temporary, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
  } catch (error) {
    throw unusable(path, `it cannot be made: ${(error as Error).message}`, undefined, error)
  } finally {
    seed.fill(0)
    await rm(temporary, { force: true })
  }
  const identity = await load(path)
  if (identity === undefined) throw unusable(path, 'it vanished while it was made')
  return identity
}

function unusable(path: string, why: string, hint?: string, cause?: unknown): GlueberryError<'INVALID_IDENTITY'> {
  const advice = hint === undefined ? '' : ` (${hint})`
  return new GlueberryError('INVALID_IDENTITY', `the identity file ${path} cannot be used: ${why}${advice}`, {
    hint,
    cause,
  })
}
