import { fileURLToPath } from 'node:url'
import { Identity, Node } from '@glueberry/node'
import { spawnNode } from '@glueberry/testkit'
import type { Round, RoundOptions } from '../attacks/offline-worker.ts'
import type { AttackerOptions } from '../children/attacker.ts'
import { HelperThread } from '../helper-thread.ts'
import { Listener } from '../listener.ts'
import type { Row, RowOptions, RowResult } from '../row.ts'

const program = fileURLToPath(new URL('../children/attacker.ts', import.meta.url))
const worker = new URL('../attacks/offline-worker.ts', import.meta.url)
const [OFFLINE, LIVE] = [10_000_000, 100_000]
/** Inputs of one round of a worker. */
const ROUND = 20_000
/** An honest peer sends one so often, in milliseconds. */
const HONEST_EVERY = 5
/** What takes longer does not come, in milliseconds. */
const PATIENCE = 60_000

/** Bytes that no honest node sends: to each decoder by itself, and to a node that runs. */
export const bytes: Row = {
  title:
    'hostile bytes: to each decoder; and to a live node garbage, mutated, replayed, reordered, truncated, reflected ones at every step of the protocol',
  wanted: `≥ ${LIVE.toLocaleString('en')} live, ≥ ${OFFLINE.toLocaleString('en')} offline: 0 accepted, 0 crashes; the session ends, the node and its other sessions live`,
  async run(options): Promise<RowResult> {
    const begun = performance.now()
    const offline = await throwOffline(options)
    const live = await throwLive({ ...options, budget: options.budget - (performance.now() - begun) })
    const failures = [...offline.failures, ...live.failures]
    return {
      passed: failures.length === 0,
      figure: `${offline.inputs.toLocaleString('en')} offline; ${live.inputs.toLocaleString('en')} live (${live.steps}), beside an honest peer with ${live.honest.toLocaleString('en')} messages and ${live.lost} disconnects`,
      failures: failures.map((failure) => `seed ${options.seed}: ${failure}`),
    }
  },
}

async function throwOffline({ seed, short, budget, progress }: RowOptions): Promise<Round> {
  const wanted = short ? 20_000 : OFFLINE
  const begun = performance.now()
  const failures: string[] = []
  let inputs = 0
  let round = 0
  await Promise.all(
    [0, 1].map(async () => {
      await using thread = new HelperThread<RoundOptions, Round>(worker)
      while (inputs < wanted && performance.now() - begun < budget) {
        const answer = await thread.ask({ seed: seed + round++, size: ROUND })
        inputs += answer.inputs
        failures.push(...answer.failures)
        progress(`offline ${inputs.toLocaleString('en')} of ${wanted.toLocaleString('en')}`)
      }
    }),
  )
  if (inputs < wanted) failures.push(`the time was up after ${inputs} offline`)
  return { inputs, failures }
}

async function throwLive({ seed, short, budget, progress }: RowOptions): Promise<{
  readonly inputs: number
  readonly steps: string
  readonly honest: number
  readonly lost: number
  readonly failures: readonly string[]
}> {
  const wanted = short ? 250 : LIVE
  await using listener = await Listener.start(200)
  const honest = new Node({ identity: Identity.generate(), streams: ['x'] })
  await honest.start()
  let lost = 0
  honest.on('disconnected', () => lost++)
  await honest.connect(listener.address)
  const { peerId } = listener.target
  let sent = 0
  let failed: Error | undefined
  const sending = setInterval(() => {
    sent++
    honest.send(peerId, 'x', String(sent)).catch((error: Error) => {
      failed ??= error
    })
  }, HONEST_EVERY)
  try {
    const options: AttackerOptions = { address: listener.address, seed, count: wanted }
    await using attacker = spawnNode([program, JSON.stringify(options)])
    const sentBy = (): number => Number(attacker.lines.findLast((line) => line.startsWith('sent '))?.slice(5) ?? 0)
    const ticker = setInterval(
      () => progress(`live ${sentBy().toLocaleString('en')} of ${wanted.toLocaleString('en')}`),
      200,
    )
    const deadline = setTimeout(() => attacker.process.stdin.end(), budget)
    const end = setTimeout(() => attacker.kill('SIGKILL'), budget + 30_000)
    const code = await attacker.ended
    clearTimeout(deadline)
    clearTimeout(end)
    clearInterval(ticker)
    clearInterval(sending)
    await honest.flush(undefined, { signal: AbortSignal.timeout(PATIENCE) })
    const { consumed, wrong, forged } = await listener.count()
    const inputs = sentBy()
    const failures = attacker.lines.filter((line) => line.startsWith('wrong ')).map((line) => line.slice(6))
    if (code !== 0) failures.push(`the attacker ended with ${code}: ${attacker.errorLines.join(' ')}`)
    if (inputs < wanted) failures.push(`the time was up after ${inputs} live`)
    if (forged > 0) failures.push(`${forged} forged messages were accepted`)
    if (wrong > 0 || consumed !== sent) failures.push(`${consumed} of ${sent} honest messages, ${wrong} not the next`)
    if (failed !== undefined) failures.push(`an honest message: ${failed.message}`)
    if (lost > 0) failures.push(`the honest peer was disconnected ${lost} times`)
    if ((await listener.honestDial(PATIENCE)) === undefined) failures.push('nobody can connect afterwards')
    failures.push(...listener.errors.slice(0, 3))
    const steps = attacker.lines.findLast((line) => line.startsWith('steps '))?.slice(6) ?? ''
    return { inputs, steps, honest: consumed, lost, failures }
  } finally {
    clearInterval(sending)
    await honest.stop()
  }
}
