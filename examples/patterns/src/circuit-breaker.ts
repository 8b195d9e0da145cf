import type { ReconnectOptions } from '@glueberry/node'

/** A circuit breaker as `reconnect.delay`: some quick tries, then long pauses with one try between them. */
export function circuitBreaker({
  tries,
  quick,
  pause,
}: {
  tries: number
  quick: number
  pause: number
}): Required<Pick<ReconnectOptions, 'delay'>>['delay'] {
  // Closed: the first attempts. Open: after `tries` failures nothing is tried for `pause`. Half-open: one attempt, which
  // closes it (attempts count from 1 again once a session has lasted) or opens it anew.
  return (attempt) => (attempt <= tries ? quick * (attempt - 1) : pause)
}
