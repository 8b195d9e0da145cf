import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { reset } from '@glueberry/testkit'
import { expect, test } from 'vitest'

test.each([
  { what: 'an open socket', before: () => {}, error: 'ECONNRESET' },
  { what: 'a socket that is ending', before: (socket: Socket) => void socket.end(), error: undefined },
])('$what is closed: the other side sees $error', async ({ before, error }) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const near = connect((server.address() as AddressInfo).port, '127.0.0.1').resume()
  const errors: unknown[] = []
  near.on('error', (error: NodeJS.ErrnoException) => errors.push(error.code))
  const [far] = (await once(server, 'connection')) as [Socket]
  server.close()

  const closed = Promise.all([once(far, 'close'), new Promise((resolve) => near.once('close', resolve))])
  before(far)
  reset(far)
  await closed // with an error of the far socket it is rejected

  expect(errors).toEqual(error === undefined ? [] : [error])
})
