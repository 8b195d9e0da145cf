import { INSTANCE_LENGTH, type Setup } from '@glueberry/wire'
import { PeerConnection } from './connection/connection.ts'
import type { Dials } from './connection/dials.ts'
import { BUDGET_SLACK, firstWindow, poolSize } from './options/flow-limits.ts'
import type { Settings } from './options/settings.ts'
import type { PeerId } from './peer-id.ts'
import { DeadlockWarning } from './peers/deadlock-warning.ts'
import type { Earlier } from './peers/dormant.ts'
import { Peer, type PeerNode, type PeerOwner } from './peers/peer.ts'
import { PeerHistory } from './peers/peer-history.ts'
import type { SessionContext } from './session/session-owner.ts'
import { Budget } from './stream/budget.ts'
import type { GrantQueue } from './stream/grant-queue.ts'
import { Receiver } from './stream/receiver.ts'
import { Traffic } from './stream/traffic.ts'
import type { Host } from './transport/transport.ts'
import { AGENT } from './version.ts'

/** What every peer of a node is made with. */
export interface PeerContext extends PeerNode {
  readonly settings: Settings
  /** What is held and promised for all peers. */
  readonly budget: Budget
  /** Where senders of all peers wait for credit. */
  readonly grants: GrantQueue
  /** What is kept for all peers. */
  readonly kept: Budget
  readonly session: SessionContext
  readonly dials: Dials
  /** Names that this node accepts. */
  names(): ReadonlySet<string>
  /** The host, while the node runs. */
  host(): Host
}

/** Puts the parts of one peer together: its messages, its connection, and the record that knows both. */
export function composePeer(peerId: PeerId, context: PeerContext, owner: PeerOwner, earlier: Earlier): Peer {
  const { clock } = context
  const { stats, state: remembered } = earlier
  const history = new PeerHistory(stats)
  const instance = remembered?.instance ?? clock.randomBytes(INSTANCE_LENGTH)
  const parts: Parts = { peerId, context, owner, earlier, history, instance, peer: () => peer }
  const traffic = composeTraffic(parts)
  const connection = composeConnection(parts, traffic)
  const peer: Peer = new Peer({
    peerId,
    instance,
    connection,
    traffic,
    history,
    wasEstablished: remembered !== undefined,
    node: context,
    owner,
  })
  return peer
}

interface Parts {
  readonly peerId: PeerId
  readonly context: PeerContext
  readonly owner: PeerOwner
  readonly earlier: Earlier
  readonly history: PeerHistory
  readonly instance: Uint8Array
  /** Once it is there. */
  peer(): Peer
}

function composeTraffic({ peerId, context, owner, earlier, history, peer }: Parts): Traffic {
  const { settings, clock, delivery, budget, grants, kept, session, names } = context
  const { flow, limits } = settings
  const pool = poolSize(settings)
  const receiver = new Receiver({
    peerId,
    remembered: earlier.state?.receiver,
    clock,
    // What a name holds beyond its window came out of a pool, of this session or an earlier one.
    budget: new Budget(flow.peerBudget + BUDGET_SLACK + 2 * pool, budget),
    messageSize: limits.messageSize,
    pool,
    firstWindow: (names) => firstWindow(settings, names),
    grants,
    windowMax: flow.window,
    names,
    frozen: () => owner.draining,
    counts: history.counts,
    offer: (inbox) => delivery.offer(inbox),
    skipped: (stream, from, count) => peer().emit({ type: 'skipped', stream, from, count }),
  })
  const deadlock = new DeadlockWarning(peerId, session.logger, delivery)
  return new Traffic({
    peerId,
    remembered: earlier.state?.traffic,
    clock,
    receiver,
    messageSize: limits.messageSize,
    sendBuffer: flow.sendBuffer,
    rejectWhenFull: flow.overflow === 'error',
    waitingMax: limits.waitingSends,
    kept: new Budget(Math.max(flow.peerBudget, flow.window) + BUDGET_SLACK, kept),
    undelivered: (stream, from, count) => peer().emit({ type: 'undelivered', stream, from, count }),
    counts: history.counts,
    waits: (stream) => deadlock.check(stream, receiver.inboxes),
  })
}

function composeConnection(parts: Parts, traffic: Traffic): PeerConnection {
  const { peerId, context, earlier, instance, peer } = parts
  const { settings, clock, session, dials, names, host } = context
  const { identity, limits, timeouts, heartbeat, reconnect } = settings
  const setup = (): Omit<Setup, 'ended'> => ({
    type: 'setup',
    agent: AGENT,
    streams: [...names()],
    largestMessage: limits.messageSize,
    heartbeat: heartbeat.interval,
    features: [],
    instance,
  })
  return new PeerConnection({
    peerId,
    ownPeerId: identity.peerId,
    clock,
    context: session,
    connectTimeout: timeouts.connect,
    cooldown: timeouts.cooldown,
    reconnect,
    streams: traffic,
    dial: (address, signal) => host().dial(peerId, address, signal),
    setup,
    known: () => peer().remembered,
    dials,
    allowance: earlier.dormant?.allowance,
    outage: earlier.dormant?.outage === true,
    endedIds: earlier.state?.endedIds ?? [],
    refuses: () => peer().refuses(),
    changed: (state, events, input) => peer().onConnection(state, events, input),
    gaveUp: () => peer().close('gave-up'),
    idle: () => peer().idle(),
  })
}
