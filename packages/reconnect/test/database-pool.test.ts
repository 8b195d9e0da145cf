import { SimulatedClock } from '@glueberry/testkit'
import { expect, test } from 'vitest'
import { AddressPool, Reconnector } from '../src/index.ts'
import { settled } from './support.ts'

// A pool of database connections: several reconnectors that share one list of servers and what is known of each.

class Database {
  readonly #up = new Set<string>()
  readonly open = new Set<Connection>()

  start(address: string): void {
    this.#up.add(address)
  }

  fail(address: string): void {
    this.#up.delete(address)
    for (const connection of [...this.open]) if (connection.address === address) connection.break()
  }

  connect(address: string): Connection {
    if (!this.#up.has(address)) throw new Error(`${address} is down`)
    const connection = new Connection(address, this)
    this.open.add(connection)
    return connection
  }
}

class Connection {
  readonly address: string
  readonly #database: Database
  onBreak: (() => void) | undefined

  constructor(address: string, database: Database) {
    this.address = address
    this.#database = database
  }

  query(text: string): string {
    if (!this.#database.open.has(this)) throw new Error('broken')
    return `${text}@${this.address}`
  }

  break(): void {
    this.#database.open.delete(this)
    this.onBreak?.()
  }
}

test('connections move to the replica together, and the wait keeps them from storming a database that is down', async () => {
  const clock = new SimulatedClock()
  const database = new Database()
  const servers = new AddressPool(['primary', 'replica'])
  let attempts = 0
  const connections = Array.from({ length: 4 }, () => {
    const reconnector: Reconnector<string, Connection> = new Reconnector<string, Connection>({
      pool: servers,
      clock,
      random: () => 0.5,
      backoff: { baseDelay: 1000, jitter: 'full' },
      async attempt(address) {
        attempts++
        const connection = database.connect(address)
        connection.onBreak = () => reconnector.lost(connection, new Error('broken'))
        return connection
      },
      dispose: (connection) => connection.break(),
      onState: (state) => {
        if (state.name === 'up') reconnector.confirm(state.connection)
      },
    })
    return reconnector
  })
  const query = async (text: string): Promise<string[]> =>
    Promise.all(connections.map(async (connection) => (await connection.connect()).query(text)))

  database.start('primary')
  expect(await query('one')).toEqual(Array(4).fill('one@primary'))

  database.start('replica')
  database.fail('primary')
  clock.advance(0)
  await settled()
  expect(await query('two')).toEqual(Array(4).fill('two@replica'))

  database.fail('replica')
  attempts = 0
  for (let second = 0; second < 60; second++) {
    clock.advance(1000)
    await settled()
  }
  expect(attempts).toBeLessThan(100) // 4 connections, 2 servers, 8 attempts a minute at most
  expect(attempts).toBeGreaterThan(20)

  database.start('primary')
  clock.advance(300_000)
  await settled()
  expect(await query('three')).toEqual(Array(4).fill('three@primary'))
  expect(database.open.size).toBe(4)
  await Promise.all(connections.map((connection) => connection.close()))
  expect([database.open.size, clock.pending]).toEqual([0, 0])
})
