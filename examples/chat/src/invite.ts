import { type Multiaddr, parsePeerId } from '@glueberry/node'

// glueberry:12D3KooW…@192.168.1.5:9000,[fe80::1]:9000,example.org:9000

const PREFIX = 'glueberry:'

/** One text that says who and where; only TCP addresses have a place in it. `undefined` when there is none. */
export function writeInvite(addresses: readonly Multiaddr[]): string | undefined {
  const places: string[] = []
  let peerId: string | undefined
  for (const address of addresses) {
    const match = /^\/(ip4|ip6|dns4|dns6|dns)\/([^/]+)\/tcp\/(\d+)\/p2p\/([^/]+)$/.exec(address)
    if (match === null) continue
    const [, kind, host, port, id] = match
    peerId = id
    places.push(kind === 'ip6' ? `[${host}]:${port}` : `${host}:${port}`)
  }
  // Another machine's way in first; the loopback address is of use only on this one.
  places.sort((a, b) => Number(isLoopback(a)) - Number(isLoopback(b)))
  return peerId === undefined ? undefined : `${PREFIX}${peerId}@${places.join(',')}`
}

/**
 * The multiaddrs of an invite; a multiaddr is passed on as it is.
 *
 * @throws Error that says what an invite looks like
 */
export function readInvite(text: string): readonly Multiaddr[] {
  if (text.startsWith('/')) {
    const parts = /^\/(?:ip4|ip6|dns|dns4|dns6)\/[^/]+\/tcp\/(\d{1,5})\/p2p\/([^/]+)$/.exec(text)
    if (parts === null || Number(parts[1]) > 65_535) throw malformed(text)
    parsePeerId(parts[2] as string)
    return [text]
  }
  const match = new RegExp(`^${PREFIX}([^@]+)@(.+)$`).exec(text.trim())
  if (match === null) throw malformed(text)
  const [, id, places] = match as unknown as [string, string, string]
  const peerId = parsePeerId(id)
  return places.split(',').map((place) => {
    const parts = /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]/]+)):(\d{1,5})$/.exec(place)
    if (parts === null || Number(parts[3]) > 65_535) throw malformed(text)
    const [, ip6, host, port] = parts
    const where =
      ip6 !== undefined ? `ip6/${ip6}` : /^\d+(\.\d+){3}$/.test(host as string) ? `ip4/${host}` : `dns/${host}`
    return `/${where}/tcp/${port}/p2p/${peerId}`
  })
}

function isLoopback(place: string): boolean {
  return place.startsWith('127.') || place.startsWith('[::1]')
}

function malformed(text: string): Error {
  return new Error(`an invite looks like ${PREFIX}12D3KooW…@192.168.1.5:9000, got ${JSON.stringify(text)}`)
}
