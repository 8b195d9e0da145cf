import { type Clock, deadline } from '../clock.ts'
import { GlueberryError } from '../errors.ts'
import type { OpenedStream } from '../session-port.ts'
import { DATA_PROTOCOL, type Link } from '../transport/transport.ts'
import type { SessionKeys } from './session-keys.ts'

export interface DataStreamsOptions {
  readonly clock: Clock
  readonly link: Link
  /** How long the peer may take to accept a stream, in milliseconds. */
  readonly timeout: number
  /** So many bytes were sealed. Throws when that is the end of the keys' life: they must not be sent. */
  used(bytes: number): void
}

/** Opens a data stream of this session. */
export async function openDataStream(keys: SessionKeys, options: DataStreamsOptions): Promise<OpenedStream> {
  const { clock, link, timeout, used } = options
  const { peerId } = link
  const refused = (): GlueberryError =>
    new GlueberryError('CONNECT_FAILED', `${peerId} does not accept a stream`, { peerId })
  const limit = deadline(clock, timeout, refused)
  try {
    const stream = await link.openStream(DATA_PROTOCOL, limit.signal)
    try {
      const { header, sealer } = keys.openSealer()
      const seal = (plaintext: readonly Uint8Array[]): Uint8Array[] => {
        const record = sealer.seal(plaintext)
        used(record.reduce((sum, { length }) => sum + length, 0))
        return record
      }
      return { stream, header, seal }
    } catch (error) {
      stream.abort(error as Error)
      throw error
    }
  } finally {
    limit.cancel()
  }
}
