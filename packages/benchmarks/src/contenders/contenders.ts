import type { Contender } from '../contender.ts'

/** Every contender, by the name that `--only` takes. Each is loaded when it is used. */
export const CONTENDERS: Readonly<Record<string, { readonly title: string; readonly load: () => Promise<Contender> }>> =
  {
    node: { title: 'Glueberry, `messages()`', load: async () => (await import('./node.ts')).pulled },
    handle: { title: 'Glueberry, `handle()`', load: async () => (await import('./node.ts')).handled },
    libp2p: { title: 'js-libp2p', load: async () => (await import('./libp2p.ts')).withDefaults },
    'libp2p-keys': {
      title: 'js-libp2p with our Noise cipher',
      load: async () => (await import('./libp2p.ts')).withKeyObjects,
    },
    hyperswarm: {
      title: 'secret-stream + protomux',
      load: async () => (await import('./hyperswarm.ts')).hyperswarm,
    },
    zeromq: { title: 'zeromq.js, CURVE', load: async () => (await import('./zeromq.ts')).zeromq },
    nats: { title: 'nats.js, TLS to a server', load: async () => (await import('./nats.ts')).nats },
    tls: { title: 'node:tls, batches by hand', load: async () => (await import('./tls.ts')).tls },
  }
