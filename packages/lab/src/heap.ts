import { text } from 'node:stream/consumers'
import { getHeapSnapshot } from 'node:v8'

/** What V8 makes for itself: compiled code, what that code depends on, shapes of objects. It comes and goes as V8 likes. */
const OF_V8: ReadonlySet<string> = new Set(['code', 'hidden', 'object shape'])

interface Snapshot {
  readonly snapshot: { readonly meta: { readonly node_fields: string[]; readonly node_types: [string[]] } }
  readonly nodes: readonly number[]
}

/** Bytes of everything that the program itself holds, in this process; takes a second. */
export async function heldHere(): Promise<number> {
  const { snapshot, nodes } = JSON.parse(await text(getHeapSnapshot())) as Snapshot
  const { node_fields: fields, node_types } = snapshot.meta
  const [type, size] = [fields.indexOf('type'), fields.indexOf('self_size')]
  let held = 0
  for (let at = 0; at < nodes.length; at += fields.length) {
    if (!OF_V8.has(node_types[0][nodes[at + type] as number] as string)) held += nodes[at + size] as number
  }
  return held
}
