import {
  dataCipher,
  encodeDataHeader,
  equalBytes,
  RecordOpener,
  RecordSealer,
  type SessionSecrets,
} from '@glueberry/wire'
import { GlueberryError, protocolViolation } from '../errors.ts'
import type { PeerId } from '../peer-id.ts'
import { NumberWindow } from './number-window.ts'

/** The keys of a session's data streams, until it ends. */
export class SessionKeys {
  readonly #secrets: SessionSecrets
  readonly #peerId: PeerId
  readonly #numbers = new NumberWindow()
  #nextNumber = 0
  #destroyed = false

  /** Takes the secrets over. */
  constructor(secrets: SessionSecrets, peerId: PeerId) {
    this.#secrets = secrets
    this.#peerId = peerId
  }

  /** The session's id. */
  get id(): Uint8Array {
    return this.#secrets.id
  }

  /** Whether a data stream's header names this session. */
  matches(tag: Uint8Array): boolean {
    return equalBytes(this.id.subarray(0, tag.length), tag)
  }

  /** The header of a data stream that this side opens, and what seals it. */
  openSealer(): { readonly header: Uint8Array; readonly sealer: RecordSealer } {
    this.#checkAlive()
    const number = this.#nextNumber++
    return {
      header: encodeDataHeader(this.id, number),
      sealer: new RecordSealer(dataCipher(this.#secrets.sendRoot, number, this.#secrets.cipher)),
    }
  }

  /** What opens a data stream of the peer. @throws GlueberryError `PROTOCOL` for a number that was used before */
  opener(number: number): RecordOpener {
    this.#checkAlive()
    if (!this.#numbers.accept(number)) {
      throw protocolViolation(this.#peerId, `data stream ${number} came twice, or far too late`)
    }
    return new RecordOpener(dataCipher(this.#secrets.receiveRoot, number, this.#secrets.cipher))
  }

  /** Zeroes them. */
  destroy(): void {
    this.#destroyed = true
    this.#secrets.sendRoot.fill(0)
    this.#secrets.receiveRoot.fill(0)
  }

  /** After the end they are zeros: nothing may be derived from them. */
  #checkAlive(): void {
    if (this.#destroyed) throw new GlueberryError('CONNECT_FAILED', 'the session is over', { peerId: this.#peerId })
  }
}
