/**
 * Keeps one thing connected: a peer, a server out of a list, a database.
 *
 * @packageDocumentation
 */
export { type AddressEntry, AddressPool, type AddressPoolOptions } from './address-pool.ts'
export { type BackoffOptions, backoff } from './backoff.ts'
export { ReconnectError } from './errors.ts'
export type { AttemptContext, Clock, ReconnectorOptions } from './options.ts'
export { Reconnector } from './reconnector.ts'
export type { ReconnectorState } from './state.ts'
