import { type PeerId, parsePeerId } from '@glueberry/node'

/** A node that listens on IPv4 and TCP. */
export interface Target {
  readonly peerId: PeerId
  readonly addrs: readonly string[]
  readonly port: number
}

/** @param address complete */
export function targetAt(address: string): Target {
  const [, port, peerId] = /\/tcp\/(\d+)\/p2p\/(\w+)$/.exec(address) as unknown as [string, string, string]
  return { peerId: parsePeerId(peerId), addrs: [address], port: Number(port) }
}
