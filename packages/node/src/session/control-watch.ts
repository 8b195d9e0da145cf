import { RECORD_PLAINTEXT_MAX, type Ready } from '@glueberry/wire'
import { RecordWatch } from '../transport/records.ts'
import type { Opening } from './opening.ts'
import type { SessionContext } from './session-owner.ts'

/** What an established peer may say in one record of its control stream, in bytes: 64 names and two numbers for each. */
const CONTROL_RECORD_MAX = 8 * 1024

/** What the records of a session's control stream must keep to. `late` is called with the time that one had, in milliseconds. */
export function watchControl(
  session: { readonly established: boolean; readonly quietFor: number; readonly remoteReady: Ready | undefined },
  { clock, handshakeTimeout: timeout }: SessionContext,
  opening: Opening,
  late: (timeout: number) => void,
): RecordWatch {
  return new RecordWatch({
    clock,
    timeout,
    // Until it is established it has nothing else to send.
    quietFor: () => (session.established ? session.quietFor : Number.POSITIVE_INFINITY),
    longest: () => (session.remoteReady === undefined ? RECORD_PLAINTEXT_MAX : CONTROL_RECORD_MAX),
    partial: (bytes) => opening.partial(bytes),
    late: () => late(timeout),
  })
}
