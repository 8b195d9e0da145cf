import { Identity, Node } from '@glueberry/node'

/** A started node on a free port of this machine. */
export function startNode<const S extends string>(streams: readonly S[]): Promise<Node<S>> {
  return new Node({ identity: Identity.generate(), streams, listen: ['/ip4/127.0.0.1/tcp/0'] }).start()
}
