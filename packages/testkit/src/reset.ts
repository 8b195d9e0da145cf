import type { Socket } from 'node:net'

/**
 * Closes a socket so that the other side sees a reset; one that is ending sees its end instead. libuv refuses to reset
 * a socket while a shutdown is under way, and Node then never closes the handle: the process spins when it exits.
 */
export function reset(socket: Socket): void {
  if (socket.writableEnded && !socket.writableFinished) socket.destroy()
  else socket.resetAndDestroy()
}
