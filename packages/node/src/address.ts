import { multiaddr } from '@multiformats/multiaddr'
import { GlueberryError } from './errors.ts'
import { show } from './options/check.ts'
import type { PeerId } from './peer-id.ts'
import { type PeerRef, parsePeerId, toPeerId } from './peer-ref.ts'

/** A libp2p multiaddr as text: `/ip4/127.0.0.1/tcp/9000`, `/dns4/example.org/tcp/9000/p2p/12D3KooW…`. */
export type Multiaddr = string

/** How many addresses of a peer are tried. */
export const ADDRESSES_MAX = 32

/** A peer to connect to, and the addresses that the caller knows. */
export interface Target {
  readonly peerId: PeerId
  /** Without the peer's own id at the end. */
  readonly addresses: readonly Multiaddr[]
}

/**
 * Reads what `connect` takes: a peer, its id as text, a multiaddr with `/p2p/…`, or several of one peer.
 *
 * @throws GlueberryError `INVALID_PEER_ID`, `INVALID_ADDRESS`
 */
export function parseTarget(target: PeerRef | string | readonly string[]): Target {
  if (typeof target === 'string' && !target.startsWith('/')) return { peerId: parsePeerIdOrSay(target), addresses: [] }
  if (typeof target !== 'string' && !Array.isArray(target))
    return { peerId: toPeerId(target as PeerRef), addresses: [] }

  if (typeof target !== 'string') checkCount(target)
  const parts = (typeof target === 'string' ? [target] : (target as readonly string[])).map(splitAddress)
  const [first] = parts
  if (first === undefined)
    throw new GlueberryError('INVALID_ADDRESS', 'connect needs at least one multiaddr, got an empty list', {
      hint: 'a node has addresses once it has been started and listens',
    })
  for (const { address, peerId } of parts) {
    if (peerId === undefined) {
      throw new GlueberryError('INVALID_ADDRESS', `the multiaddr ${address} must end with /p2p/ and the peer's id`, {
        hint: 'a peer prints its complete addresses as node.addrs',
      })
    }
    if (peerId !== first.peerId) {
      throw new GlueberryError(
        'INVALID_ADDRESS',
        `the multiaddrs must be of one peer, got ${first.peerId} and ${peerId}`,
      )
    }
  }
  return { peerId: first.peerId as PeerId, addresses: [...new Set(parts.map(({ address }) => address))] }
}

function checkCount(addresses: readonly unknown[]): void {
  if (addresses.length <= ADDRESSES_MAX) return
  const text = `a peer has at most ${ADDRESSES_MAX} multiaddrs, got ${addresses.length}`
  throw new GlueberryError('INVALID_ADDRESS', text)
}

function parsePeerIdOrSay(text: string): PeerId {
  try {
    return parsePeerId(text)
  } catch (cause) {
    if (!GlueberryError.is(cause)) throw cause
    const wanted = 'connect takes a multiaddr such as /ip4/127.0.0.1/tcp/9000/p2p/12D3KooW…, or a peer id'
    throw new GlueberryError(cause.code, `${wanted}: ${cause.message}`, { hint: cause.hint, cause })
  }
}

/**
 * Addresses that were given for a known peer: each may end with that peer's id.
 *
 * @throws GlueberryError `INVALID_ADDRESS` when malformed, or of another peer
 */
export function parseAddressesOf(peerId: PeerId, addresses: readonly Multiaddr[]): Multiaddr[] {
  if (!Array.isArray(addresses)) {
    throw new GlueberryError('INVALID_ADDRESS', `expected a list of multiaddrs, got ${show(addresses)}`)
  }
  checkCount(addresses)
  return addresses.map((text) => {
    const split = splitAddress(text)
    if (split.peerId !== undefined && split.peerId !== peerId) {
      throw new GlueberryError('INVALID_ADDRESS', `the multiaddr ${text} is of ${split.peerId}, not of ${peerId}`)
    }
    return split.address
  })
}

/** Throws `INVALID_ADDRESS` unless the text is a multiaddr. */
export function checkMultiaddr(text: unknown): void {
  splitAddress(text)
}

/**
 * Where limits take an address to come from: an IPv4 address, or the /64 of an IPv6 one, whose addresses all belong to one
 * network (RFC 4291, 2.5.1); of any other kind, the address itself.
 */
export function originOf(address: Multiaddr): string {
  const ip = multiaddr(address)
    .getComponents()
    .find(({ name }) => name === 'ip4' || name === 'ip6')
  if (ip?.value === undefined) return address
  if (ip.name === 'ip4') return ip.value
  const network = Buffer.from(multiaddr(`/ip6/${ip.value}`).bytes.subarray(1, 9)).toString('hex')
  return `${network.replace(/(....)(?!$)/g, '$1:')}::/64`
}

/** Characters of a multiaddr: a name of 253 bytes, and what stands around it, many times over. */
const LENGTH_MAX = 2048

function splitAddress(text: unknown): { address: Multiaddr; peerId?: PeerId } {
  if (typeof text !== 'string' || text.length > LENGTH_MAX) throw malformed(text)
  const match = /^(.*)\/p2p\/([^/]+)$/.exec(text)
  const address = match?.[1] ?? text
  // The id first: an RSA id deserves its own word rather than "malformed".
  const peerId = match?.[2] === undefined ? undefined : parsePeerId(match[2])
  try {
    if (address !== '' && multiaddr(address).getComponents().length > 0) {
      return peerId === undefined ? { address } : { address, peerId }
    }
  } catch (cause) {
    throw malformed(text, cause)
  }
  throw malformed(text)
}

function malformed(text: unknown, cause?: unknown): GlueberryError<'INVALID_ADDRESS'> {
  return new GlueberryError(
    'INVALID_ADDRESS',
    `expected a multiaddr such as /ip4/127.0.0.1/tcp/9000/p2p/12D3KooW…, got ${show(text)}`,
    { cause },
  )
}
