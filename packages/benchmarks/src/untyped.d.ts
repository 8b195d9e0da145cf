// What is used here of packages that bring no types.

declare module '@hyperswarm/secret-stream' {
  import type { EventEmitter } from 'node:events'
  import type { Socket } from 'node:net'
  export default class SecretStream extends EventEmitter {
    constructor(isInitiator: boolean, socket: Socket)
    destroy(): void
  }
}

declare module 'protomux' {
  import type SecretStream from '@hyperswarm/secret-stream'
  export interface Message {
    /** False when the caller should wait for the stream's `drain`. */
    send(data: Uint8Array): boolean
  }
  export default class Protomux {
    constructor(stream: SecretStream)
    createChannel(options: { protocol: string; onopen(): void }): {
      addMessage(options: { encoding: unknown; onmessage(data: Uint8Array): void }): Message
      open(): void
    }
  }
}

declare module 'compact-encoding' {
  const encodings: { readonly raw: unknown }
  export default encodings
}
