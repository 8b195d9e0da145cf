import { equalBytes } from '@glueberry/wire'

/**
 * What happens to a session whose SETUP has come, while `chosen` is the session that this node has with the peer
 * already (docs/protocol.md, "Which session lives"). The node with the smaller PeerId decides, the other follows.
 */
export function arbitrate(
  decides: boolean,
  chosen: { readonly instance: Uint8Array } | undefined,
  candidate: { readonly instance: Uint8Array },
): 'choose' | 'follow' | 'duplicate' {
  if (!decides) return 'follow'
  // Another instance: the peer has restarted, so what we have with it is dead.
  return chosen !== undefined && equalBytes(chosen.instance, candidate.instance) ? 'duplicate' : 'choose'
}

/** Whether the node with these PeerId bytes decides. */
export function decides(own: Uint8Array, remote: Uint8Array): boolean {
  for (let i = 0; i < Math.min(own.length, remote.length); i++) {
    const difference = (own[i] as number) - (remote[i] as number)
    if (difference !== 0) return difference < 0
  }
  return own.length < remote.length
}
