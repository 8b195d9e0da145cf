// What the first bytes of every message of a benchmark say, so that the receiver can check count and order.

/** Channels are numbered: `link * 64 + name`. */
export const CHANNELS: number = 1 << 16

export const channelOf = (link: number, name: number): number => link * 64 + name
export const nameOf = (channel: number): number => channel % 64

export function writeStamp(message: Uint8Array, channel: number, sequence: number): void {
  message[0] = channel
  message[1] = channel >>> 8
  message[2] = sequence
  message[3] = sequence >>> 8
  message[4] = sequence >>> 16
  message[5] = sequence >>> 24
}

export const channelIn = (message: Uint8Array): number => (message[0] as number) | ((message[1] as number) << 8)

export const sequenceIn = (message: Uint8Array): number =>
  ((message[2] as number) |
    ((message[3] as number) << 8) |
    ((message[4] as number) << 16) |
    ((message[5] as number) << 24)) >>>
  0
