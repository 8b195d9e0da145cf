// Opens connections to a node, each with random bytes, as fast as the node takes them. Says how many so far, and ends
// when all are thrown or its input ends.
import { connect } from 'node:net'
import { chance, reset } from '@glueberry/testkit'
import { MULTISTREAM, NOISE } from '../beginnings.ts'
import { atOnce } from './at-once.ts'

/** What it is told, as JSON. */
export interface ThrowerOptions {
  readonly port: number
  readonly seed: number
  readonly count: number
}

const AT_ONCE = 32
/** Garbage of one connection, in bytes. */
const LONGEST = 70_000
const TELL_EVERY = 100
/** Of a number that does not end, as multistream-select writes them, each byte. */
const ENDLESS = Buffer.alloc(LONGEST, 0xff)

const { port, seed, count } = JSON.parse(process.argv[2] as string) as ThrowerOptions
const random = chance(seed)
const noise = Uint8Array.from({ length: 2 * LONGEST }, () => Math.floor(random() * 256))

/** One connection: nothing, a beginning, or random bytes; then its end, or its reset. */
function throwGarbage(from: string): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', localAddress: from })
    socket.on('error', () => {})
    socket.on('close', () => resolve())
    socket.resume()
    socket.on('connect', () => {
      if (random() < 0.4) socket.write(MULTISTREAM)
      if (random() < 0.4) socket.write(NOISE)
      const length = Math.floor(random() * (random() < 0.1 ? LONGEST : 300))
      const at = Math.floor(random() * (noise.length - length))
      socket.write(random() < 0.1 ? ENDLESS.subarray(0, length) : noise.subarray(at, at + length))
      if (random() < 0.5) socket.end()
      else setTimeout(() => reset(socket), random() * 20)
    })
  })
}

let thrown = 0
await atOnce(
  AT_ONCE,
  () => thrown < count,
  async (which) => {
    thrown++
    if (thrown % TELL_EVERY === 0) console.log(`thrown ${thrown}`)
    await throwGarbage(`127.0.0.${2 + which}`)
  },
)
console.log(`thrown ${thrown}`)
