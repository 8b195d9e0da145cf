// A slow encoder and decoder, written to be read beside docs/protocol.md and to share nothing with src/.

export interface ReferenceFrame {
  readonly type: 'OPEN' | 'MESSAGE' | 'CONFIRM' | 'FRAGMENT' | 'FIN'
  readonly name?: string
  readonly firstSequence?: number
  readonly redeliveredThrough?: number
  readonly data?: Uint8Array
}

const NUMBERS = { OPEN: 1, MESSAGE: 2, CONFIRM: 3, FRAGMENT: 4, FIN: 5 } as const

export function uvarint(value: number): number[] {
  let rest = BigInt(value)
  const groups: number[] = []
  do {
    groups.push(Number(rest & 127n))
    rest >>= 7n
  } while (rest > 0n)
  return groups.map((group, i) => (i < groups.length - 1 ? group | 128 : group))
}

export function encodeFrames(frames: readonly ReferenceFrame[]): Uint8Array<ArrayBuffer> {
  const out: number[] = []
  for (const frame of frames) {
    out.push(NUMBERS[frame.type])
    if (frame.type === 'OPEN') {
      const name = [...(frame.name as string)].map((character) => character.charCodeAt(0))
      out.push(...uvarint(name.length), ...name)
      out.push(...uvarint(frame.firstSequence as number), ...uvarint(frame.redeliveredThrough as number))
    } else if (frame.type !== 'FIN') {
      const data = frame.data as Uint8Array
      out.push(...uvarint(data.length), ...data)
    }
  }
  return Uint8Array.from(out)
}

export function decodeFrames(bytes: Uint8Array): ReferenceFrame[] {
  let rest = [...bytes]
  const number = (): number => {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = rest.shift()
      if (byte === undefined) throw new Error('ends within a number')
      value |= BigInt(byte & 127) << shift
      if (byte < 128) {
        if (byte === 0 && shift > 0n) throw new Error('not the shortest form')
        if (value > 2n ** 53n - 1n) throw new Error('too large')
        return Number(value)
      }
      if (shift > 63n) throw new Error('too large')
    }
  }
  const take = (count: number): number[] => {
    if (rest.length < count) throw new Error('runs over')
    const taken = rest.slice(0, count)
    rest = rest.slice(count)
    return taken
  }
  const frames: ReferenceFrame[] = []
  while (rest.length > 0) {
    const byte = rest.shift()
    const type = (Object.keys(NUMBERS) as (keyof typeof NUMBERS)[]).find((key) => NUMBERS[key] === byte)
    if (type === undefined) throw new Error('no such type')
    if (type === 'FIN') frames.push({ type })
    else if (type === 'OPEN') {
      const name = String.fromCharCode(...take(number()))
      if (!/^[A-Za-z0-9._-]{1,64}$/.test(name)) throw new Error('name')
      const firstSequence = number()
      if (firstSequence === 0) throw new Error('sequence')
      frames.push({ type, name, firstSequence, redeliveredThrough: number() })
    } else {
      const data = Uint8Array.from(take(number()))
      if (type === 'FRAGMENT' && data.length === 0) throw new Error('empty fragment')
      frames.push({ type, data })
    }
  }
  return frames
}
