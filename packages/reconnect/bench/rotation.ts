// How long a step of the rotation takes with few and with many addresses: it must not depend on their number.
import { AddressPool } from '@glueberry/reconnect'

const STEPS = 2_000_000
for (const size of [10, 1000, 100_000]) {
  const pool = new AddressPool(Array.from({ length: size }, (_, i) => `address ${i}`))
  const turn = (): void => {
    const address = pool.next() as string
    pool.failed(address, 'no answer')
  }
  for (let i = 0; i < STEPS; i++) turn()
  const start = performance.now()
  for (let i = 0; i < STEPS; i++) turn()
  const each = ((performance.now() - start) / STEPS) * 1e6
  const churn = performance.now()
  for (let i = 0; i < 100_000; i++) {
    pool.remove(`address ${i % size}`)
    pool.add(`address ${i % size}`)
  }
  const change = ((performance.now() - churn) / 100_000) * 1e6
  console.log(
    `${size} addresses: ${each.toFixed(0)} ns a turn with its failure, ${change.toFixed(0)} ns for one out and in`,
  )
}
