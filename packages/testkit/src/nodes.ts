import { type GlueberryError, Identity, Node, type NodeEvent, type NodeOptions, type PeerId } from '@glueberry/node'
import { eventually } from './eventually.ts'

/** A node that is stopped when its scope ends, and everything that it told. */
export interface MadeNode<S extends string> extends AsyncDisposable {
  readonly node: Node<S>
  readonly events: NodeEvent[]
  readonly errors: GlueberryError[]
}

/** A started node on a free port of 127.0.0.1; `stop` ends it with the scope, whatever it is doing. */
export async function makeNode<const S extends string>(
  options: Partial<NodeOptions<S>> & { readonly streams: readonly S[] },
): Promise<MadeNode<S>> {
  const node = new Node<S>({ identity: Identity.generate(), listen: ['/ip4/127.0.0.1/tcp/0'], ...options })
  const events: NodeEvent[] = []
  const errors: GlueberryError[] = []
  node.on('*', (event) => {
    events.push(event)
    if (event.type === 'error') errors.push(event.error)
  })
  await node.start()
  return { node, events, errors, [Symbol.asyncDispose]: () => node.stop() }
}

/** Two connected nodes with the same names: `bob` has dialed `alice`. */
export async function pair<const S extends string>(
  streams: readonly S[],
  options: { readonly alice?: Partial<NodeOptions<S>>; readonly bob?: Partial<NodeOptions<S>> } = {},
): Promise<
  AsyncDisposable & {
    alice: Node<S>
    bob: Node<S>
    aliceId: PeerId
    bobId: PeerId
    aliceMade: MadeNode<S>
    bobMade: MadeNode<S>
  }
> {
  const aliceMade = await makeNode<S>({ streams, ...options.alice })
  const bobMade = await makeNode<S>({ streams, ...options.bob })
  const [alice, bob] = [aliceMade.node, bobMade.node]
  const aliceId = await bob.connect(alice.addrs)
  // Its READY is half a round trip away; a test that looks at states looks at both.
  await eventually(() => alice.getPeer(bob.peerId)?.state === 'established')
  return {
    alice,
    bob,
    aliceId,
    bobId: bob.peerId,
    aliceMade,
    bobMade,
    async [Symbol.asyncDispose]() {
      await Promise.all([alice.stop(), bob.stop()])
    },
  }
}

/** The next `count` items of an iterator, without ending it. */
export async function collect<T>(
  iterator: { next(): Promise<IteratorResult<T, undefined>> },
  count: number,
): Promise<T[]> {
  const items: T[] = []
  while (items.length < count) {
    const { done, value } = await iterator.next()
    if (done === true) break
    items.push(value as T)
  }
  return items
}
