// The arrows of ARCHITECTURE.md, as rules.
const layer = (name) => `^packages/node/src/${name}`
const leaves =
  '(errors|events/events|subscription|takers|condition|clock|async|expiring|linked-list|memory|printable|address|peer-id|peer-ref|identity|session-port|version|shared-token|options/[^/]+|limits/[^/]+|transport/[^/]+|stream/message|observe/[^/]+|address-book/store)[.]ts$'

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    {
      name: 'no-cycles',
      severity: 'error',
      from: { path: '^packages/[^/]+/src' },
      to: { circular: true },
    },
    {
      name: 'wire-stands-alone',
      comment: 'wire imports nothing of ours, and no I/O: only its seam knows a platform',
      severity: 'error',
      from: { path: '^packages/wire/src', pathNot: '(aead|key-agreement)-node[.]ts$' },
      to: { path: '^(packages/(?!wire)|node:|fs|net|timers)', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'wire-has-no-platform',
      severity: 'error',
      from: { path: '^packages/wire/src', pathNot: '(aead|key-agreement)-node[.]ts$' },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'reconnect-stands-alone',
      comment: 'reconnect imports nothing at all but itself: no I/O, no timers, no libp2p',
      severity: 'error',
      from: { path: '^packages/reconnect/src' },
      to: { pathNot: '^packages/reconnect/src' },
    },
    {
      name: 'streams-do-not-know-connections',
      severity: 'error',
      from: { path: layer('stream/') },
      to: {
        path: layer('(connection|session|node|peers/|lifecycle|libp2p|platform)'),
        pathNot: layer('(peer-(id|ref)|session-port)[.]ts$'),
      },
    },
    {
      name: 'sessions-do-not-know-who-owns-them',
      severity: 'error',
      from: { path: layer('session/') },
      to: {
        path: layer('(connection|stream|node|peers/|lifecycle|libp2p|platform)'),
        pathNot: layer('peer-(id|ref)[.]ts$'),
      },
    },
    {
      name: 'connections-do-not-know-streams',
      severity: 'error',
      from: { path: layer('connection/') },
      to: {
        path: layer('(stream|node|peers/|lifecycle|libp2p|platform)'),
        pathNot: layer('peer-(id|ref)[.]ts$'),
      },
    },
    {
      name: 'the-book-knows-no-connections',
      severity: 'error',
      from: { path: layer('address-book/') },
      to: {
        path: layer('(stream|session|connection|node|peers/|lifecycle|libp2p|platform)'),
        pathNot: [layer('peer-(id|ref)[.]ts$'), layer('peers/blocklist[.]ts$')],
      },
    },
    {
      name: 'leaves-import-leaves',
      severity: 'error',
      from: { path: layer(leaves) },
      to: { path: layer(''), pathNot: [layer(leaves), layer('session/application-handshake[.]ts$')] },
    },
    {
      name: 'only-the-host-knows-libp2p',
      severity: 'error',
      from: { path: '^packages/node/src', pathNot: layer('libp2p/(host|changes/noise-crypto)[.]ts$') },
      to: { path: 'node_modules/(libp2p|@libp2p|@chainsafe)/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'sources-do-not-import-tests',
      severity: 'error',
      from: { path: '^(packages/(wire|reconnect|node)|examples/[^/]+)/src' },
      to: { path: '(/test/|packages/testkit)' },
    },
    {
      name: 'declared-dependencies-only',
      severity: 'error',
      from: { path: '^(packages|examples)/[^/]+/src' },
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(packages|examples)/[^/]+/dist/' },
    tsPreCompilationDeps: 'specify',
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['@glueberry/source', 'node', 'import', 'default'],
      extensions: ['.ts', '.js', '.mjs', '.d.ts'],
    },
  },
}
