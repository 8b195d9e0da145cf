/** Why a reconnector rejects, where it is not an attempt's own error or an aborted signal's reason. */
export class ReconnectError extends Error {
  override readonly name = 'ReconnectError'
  /**
   * `NO_ADDRESS`: the pool is empty, or every address has failed too often. `INVALID_DELAY`: the user's own `delay` threw
   * or gave no number. `TIMEOUT`: an attempt took longer than `attemptTimeout`.
   */
  readonly code: 'NO_ADDRESS' | 'TIMEOUT' | 'INVALID_DELAY' | 'CANCELLED' | 'CLOSED'

  constructor(code: ReconnectError['code'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
