/**
 * The bytes of Glueberry, version 3: docs/protocol.md is the specification.
 * Everything here is synchronous and does no I/O; bytes that break a rule throw a {@link WireError}.
 *
 * @packageDocumentation
 */

export type { CipherName } from './aead.ts'
export { ByteQueue } from './byte-queue.ts'
export { equalBytes } from './bytes.ts'
export { AES_COUNTER_MAX, COUNTER_MAX, CounterCipher } from './cipher.ts'
export {
  type Acknowledgement,
  type ControlMessage,
  decodeControl,
  ENDED_MAX,
  encodeControl,
  FAILED_MAX,
  FAILURES_MAX,
  type Failure,
  type GoodbyeReason,
  HANDSHAKE_BYTES_MAX,
  INSTANCE_LENGTH,
  MEMORY_LENGTH,
  type Position,
  type Ready,
  type Return,
  type Setup,
  type Want,
} from './control.ts'
export { WireError, type WireErrorCode } from './errors.ts'
export {
  encodeOpen,
  FIN_FRAME,
  FRAME_HEADER_MAX,
  FrameBuffer,
  FrameCursor,
  FrameType,
  MESSAGE_OVERHEAD,
  type Open,
  type PartType,
  partLength,
} from './frame.ts'
export {
  HANDSHAKE_MESSAGE_MAX,
  type HandshakeOptions,
  type Hello,
  Initiator,
  NETWORK_NAME_MAX,
  PROTOCOL_VERSION,
  Responder,
  SESSION_ID_LENGTH,
  type SessionSecrets,
} from './handshake.ts'
export { encodePeerId, IDENTITY_KEY_LENGTH, IdentityKeys, PEER_ID_LENGTH, publicKeyOfPeerId } from './identity-keys.ts'
export {
  type DataHeader,
  encodeDataHeader,
  frameHandshakeMessage,
  takeDataHeader,
  takeHandshakeMessage,
} from './preamble.ts'
export {
  controlCipher,
  dataCipher,
  RECORD_MAX,
  RECORD_PLAINTEXT_MAX,
  RecordOpener,
  RecordSealer,
  takeRecord,
} from './record.ts'
export type { Refusal, RefusalCode } from './refusal.ts'
export { isStreamName, STREAM_NAME_LENGTH_MAX, STREAM_NAMES_MAX } from './stream-name.ts'
