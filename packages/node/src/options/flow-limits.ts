import { MESSAGE_OVERHEAD, STREAM_NAMES_MAX } from '@glueberry/wire'
import type { Settings } from './settings.ts'

// What the options of `flow` come to, and what of them cannot hold.

const KiB = 1024

/** Credit of a peer that has asked for nothing yet, in cost: so much at least, and at most. */
const [POOL_MIN, POOL_MAX] = [4 * KiB, 64 * KiB]

/** Budgets are told in bytes of messages; the cost of one message's overhead for each name comes on top. */
export const BUDGET_SLACK: number = STREAM_NAMES_MAX * MESSAGE_OVERHEAD

/** What a peer may write before it asks for more: an eighth of the node's budget holds that of as many peers as may connect. */
export function poolSize({ flow, limits }: Pick<Settings, 'flow' | 'limits'>): number {
  const share = Math.floor(flow.nodeBudget / 8 / limits.connections)
  return Math.min(Math.max(POOL_MIN, share), POOL_MAX)
}

/** What a name is granted at once when its sender asks: one largest message at least, 256 KiB where the budget has room for that for each of so many names. */
export function firstWindow({ flow, limits }: Pick<Settings, 'flow' | 'limits'>, names: number): number {
  const share = Math.min(256 * KiB, Math.floor(flow.peerBudget / Math.max(1, names)))
  return Math.min(flow.window, Math.max(limits.messageSize + MESSAGE_OVERHEAD, share))
}

/** What of these cannot hold: every name of a peer must have room for one largest message, or names would starve one another. */
export function budgetProblems(flow: Settings['flow'], messageSize: number, streams: number): string[] {
  const problems: string[] = []
  if (flow.window < messageSize + MESSAGE_OVERHEAD) {
    problems.push(
      `flow.window must hold one message of limits.messageSize and ${MESSAGE_OVERHEAD} bytes (${messageSize + MESSAGE_OVERHEAD}), got ${flow.window}`,
    )
  }
  if (flow.peerBudget < messageSize * streams) {
    problems.push(
      `flow.peerBudget must hold one largest message for each of ${streams} streams (${messageSize * streams}), got ${flow.peerBudget}`,
    )
  }
  if (flow.nodeBudget < flow.peerBudget) {
    problems.push(`flow.nodeBudget must be at least flow.peerBudget (${flow.peerBudget}), got ${flow.nodeBudget}`)
  }
  return problems
}
