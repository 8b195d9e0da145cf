// A plugin of TypeDoc: what belongs together in the API reference, by package. An export that is missing here is an error.
import { Comment, CommentTag, Converter } from 'typedoc'

const CATEGORIES = {
  '@glueberry/node': {
    Node: ['Node', 'NodeOptions', 'NodeState', 'Health', 'DrainReport', 'AbortOptions'],
    'Identity and peers': [
      ...['Identity', 'PeerId', 'PeerRef', 'LibP2PPeerId', 'parsePeerId', 'Multiaddr', 'PeerInfo', 'PeerState'],
      ...['PeerBlock', 'PeerStats', 'ReconnectAttempt', 'Direction'],
    ],
    Messages: ['Message', 'HandleOptions', 'Subscription', 'Closable'],
    Events: ['NodeEvent', 'EventType', 'EventOf', 'ForPeer', 'EventSubscription', 'DisconnectReason'],
    'Who may come in': ['sharedToken', 'HandshakePeer', 'Verdict'],
    'Options of your own': ['ReconnectOptions', 'Libp2pOptions', 'AddressBookStore', 'Logger', 'Metrics'],
    Errors: ['GlueberryError', 'ErrorCode', 'ErrorDetails'],
  },
  '@glueberry/reconnect': {
    Reconnector: [
      ...['Reconnector', 'ReconnectorOptions', 'ReconnectorState', 'AttemptContext', 'Clock', 'ReconnectError'],
    ],
    'Addresses and waits': ['AddressPool', 'AddressPoolOptions', 'AddressEntry', 'backoff', 'BackoffOptions'],
  },
  '@glueberry/wire': {
    Handshake: [
      ...['Initiator', 'Responder', 'HandshakeOptions', 'Hello', 'SessionSecrets', 'IdentityKeys', 'encodePeerId'],
      ...['publicKeyOfPeerId', 'HANDSHAKE_MESSAGE_MAX', 'IDENTITY_KEY_LENGTH', 'NETWORK_NAME_MAX', 'PEER_ID_LENGTH'],
      ...['PROTOCOL_VERSION', 'SESSION_ID_LENGTH', 'frameHandshakeMessage', 'takeHandshakeMessage'],
    ],
    Records: [
      ...['RecordSealer', 'RecordOpener', 'takeRecord', 'controlCipher', 'dataCipher', 'CounterCipher', 'DataHeader'],
      ...[
        'encodeDataHeader',
        'takeDataHeader',
        'RECORD_MAX',
        'RECORD_PLAINTEXT_MAX',
        'COUNTER_MAX',
        'AES_COUNTER_MAX',
        'CipherName',
      ],
    ],
    Frames: [
      ...['FrameType', 'PartType', 'Open', 'encodeOpen', 'FIN_FRAME', 'FrameBuffer', 'FrameCursor', 'partLength'],
      ...['FRAME_HEADER_MAX', 'MESSAGE_OVERHEAD'],
    ],
    'Control messages': [
      ...['ControlMessage', 'encodeControl', 'decodeControl', 'Setup', 'Ready', 'Position', 'Acknowledgement'],
      ...['Want', 'Return'],
      ...['Failure', 'Refusal', 'RefusalCode', 'GoodbyeReason', 'ENDED_MAX', 'FAILED_MAX', 'FAILURES_MAX'],
      ...['HANDSHAKE_BYTES_MAX', 'INSTANCE_LENGTH', 'MEMORY_LENGTH'],
    ],
    'Bytes and names': [
      ...['ByteQueue', 'equalBytes', 'isStreamName', 'STREAM_NAME_LENGTH_MAX', 'STREAM_NAMES_MAX'],
      ...['WireError', 'WireErrorCode'],
    ],
  },
}

/** @param {import('typedoc').Application} app */
export function load(app) {
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    const groups = CATEGORIES[project.packageName]
    if (groups === undefined) return
    const categories = new Map(Object.entries(groups).flatMap(([title, names]) => names.map((name) => [name, title])))
    for (const child of project.children ?? []) {
      const title = categories.get(child.name)
      if (title === undefined) app.logger.error(`${child.name} of ${project.packageName} is in no category`)
      else for (const comment of commentsOf(child)) comment.blockTags.push(tag(title))
    }
  })
}

function tag(title) {
  return new CommentTag('@category', [{ kind: 'text', text: title }])
}

/** A function's comments are its signatures'. */
function commentsOf(reflection) {
  const documented = reflection.signatures ?? [reflection]
  return documented.map((each) => (each.comment ??= new Comment()))
}
