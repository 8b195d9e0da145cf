import type { ConnectionEvent } from '../connection/state.ts'
import type { Logger } from '../observe/logger.ts'
import type { PeerId } from '../peer-id.ts'

/** An event as an operator reads it: what was reached, what was lost and why, how long it waits. */
export function logEvent(logger: Logger, peerId: PeerId, event: ConnectionEvent): void {
  switch (event.type) {
    case 'established':
      return logger.info('peer is established', { peerId, resumed: event.resumed })
    case 'disconnected': {
      const { kind, error } = event.reason
      return logger.info('peer is lost', {
        peerId,
        reason: kind,
        ...(error === undefined ? {} : { error: error.message }),
      })
    }
    case 'reconnecting':
      return logger.info('peer is tried again', { peerId, attempt: event.attempt, delay: Math.round(event.delay) })
    case 'cooldown':
      return logger.info('peer is left alone after a refusal', { peerId, until: new Date(event.until).toISOString() })
    case 'closed':
      return logger.info('peer is given up', { peerId, reason: event.reason })
  }
}
