import type { PeerId } from '@glueberry/node'
import { printable } from '@glueberry/terminal'

/** How long a name may be, in characters. */
export const NAME_MAX = 32

/** Colons, and what looks like one: behind the name of a line there is exactly one, the program's. */
const COLONS = /[:\u02d0\u02f8\u0589\u05c3\u1804\u2236\ua789\ufe13\ufe30\ufe55\uff1a]/g
/** Whatever a name may not begin with: `*` begins a notice, `>` the prompt. Emoji that are drawn as text (✳, ▶) look like them. */
const BEGINNING = /^[^\p{L}\p{N}\p{Emoji_Presentation}]+/v
/** The program prints these in front of a colon. */
const RESERVED = ['Invite', 'In another terminal', 'Nobody can be invited']

/** A name, so that `name: text` cannot be taken for a notice, the prompt, or a line of somebody else; empty when nothing remains. */
export function presentable(name: string): string {
  const cleaned = printable(name).replace(COLONS, '').replace(/\s+/g, ' ').replace(BEGINNING, '')
  const cut = [...cleaned].slice(0, NAME_MAX).join('')
  return printable(cut).trimEnd() // cut behind a joiner
}

/** How the people of a chat are called: no two by the same name, and nobody by ours. */
export class Names {
  /** What each peer said, and what is shown for it. */
  readonly #names = new Map<PeerId, { readonly said: string; readonly shown: string }>()
  readonly #reserved: ReadonlySet<string>

  /** @param own our own name */
  constructor(own: string) {
    this.#reserved = new Set([presentable(own), ...RESERVED].map(likeness))
  }

  /** A peer has said its name. A name that is taken gets the end of the peer's id. */
  set(peerId: PeerId, name: string): void {
    const said = presentable(name)
    if (this.#names.get(peerId)?.said === said) return // and it is still called what it was called
    const end = peerId.slice(-8)
    const wanted = said === '' ? [end] : [said, `${said} ${end}`]
    const shown = wanted.find((candidate) => !this.#isTaken(candidate, peerId)) ?? peerId
    this.#names.set(peerId, { said, shown })
  }

  /** What is shown for a peer. */
  get(peerId: PeerId): string {
    return this.#names.get(peerId)?.shown ?? peerId.slice(-8)
  }

  /** The peer is gone for good: its name is free. */
  delete(peerId: PeerId): void {
    this.#names.delete(peerId)
  }

  #isTaken(name: string, peerId: PeerId): boolean {
    const key = likeness(name)
    if (this.#reserved.has(key)) return true
    for (const [other, { shown }] of this.#names) if (other !== peerId && likeness(shown) === key) return true
    return false
  }
}

/** The same for names that are hard to tell apart: by case, width, spaces, punctuation or joiners. */
function likeness(name: string): string {
  return name
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[\s\p{P}\p{Variation_Selector}\u200c\u200d]/gv, '')
}
