import { INSTANCE_LENGTH, type Setup } from '@glueberry/wire'
import type { Clock } from './clock.ts'
import { PeerConnection } from './connection/connection.ts'
import type { Dials } from './connection/dials.ts'
import type { EventHub } from './events/event-hub.ts'
import { BUDGET_SLACK, firstWindow } from './options/flow-limits.ts'
import type { Settings } from './options/settings.ts'
import type { PeerId } from './peer-id.ts'
import type { Blocklist } from './peers/blocklist.ts'
import { DeadlockWarning } from './peers/deadlock-warning.ts'
import type { Earlier } from './peers/dormant.ts'
import { Peer, type PeerOwner } from './peers/peer.ts'
import { PeerHistory } from './peers/peer-history.ts'
import type { SessionContext } from './session/session-owner.ts'
import { Budget } from './stream/budget.ts'
import type { Delivery } from './stream/delivery.ts'
import { Receiver } from './stream/receiver.ts'
import { Traffic } from './stream/traffic.ts'
import type { Host } from './transport/transport.ts'
import { AGENT } from './version.ts'

/** What every peer of a node shares. */
export interface PeerContext {
  readonly settings: Settings
  readonly clock: Clock
  readonly hub: EventHub
  readonly delivery: Delivery
  /** What is held and promised for all peers. */
  readonly budget: Budget
  /** What is kept for all peers. */
  readonly kept: Budget
  readonly blocklist: Blocklist
  readonly session: SessionContext
  readonly dials: Dials
  /** Names that this node accepts. */
  readonly names: ReadonlySet<string>
  /** The host, while the node runs. */
  host(): Host
}

/** Puts the parts of one peer together: its messages, its connection, and the record that knows both. */
export function composePeer(peerId: PeerId, context: PeerContext, owner: PeerOwner, earlier: Earlier): Peer {
  const { settings, clock, hub, delivery, budget, kept, blocklist, session, dials, names, host } = context
  const { flow, limits, timeouts, heartbeat } = settings
  const { stats, state: remembered, dormant } = earlier
  const history = new PeerHistory(stats)
  const instance = remembered?.instance ?? clock.randomBytes(INSTANCE_LENGTH)
  const receiver = new Receiver({
    peerId,
    remembered: remembered?.receiver,
    clock,
    budget: new Budget(flow.peerBudget + BUDGET_SLACK, budget),
    messageSize: limits.messageSize,
    firstWindow: (names) => firstWindow(settings, names),
    windowMax: flow.window,
    names: () => names,
    frozen: () => owner.draining,
    counts: history.counts,
    offer: (inbox) => delivery.offer(inbox),
    skipped: (stream, from, count) => peer.emit({ type: 'skipped', stream, from, count }),
  })
  const deadlock = new DeadlockWarning(peerId, session.logger, delivery)
  const traffic = new Traffic({
    peerId,
    remembered: remembered?.traffic,
    clock,
    receiver,
    messageSize: limits.messageSize,
    sendBuffer: flow.sendBuffer,
    rejectWhenFull: flow.overflow === 'error',
    waitingMax: limits.waitingSends,
    kept: new Budget(Math.max(flow.peerBudget, flow.window) + BUDGET_SLACK, kept),
    undelivered: (stream, from, count) => peer.emit({ type: 'undelivered', stream, from, count }),
    counts: history.counts,
    waits: (stream) => deadlock.check(stream, receiver.inboxes),
  })
  const setup = (): Omit<Setup, 'ended'> => ({
    type: 'setup',
    agent: AGENT,
    streams: [...names],
    largestMessage: limits.messageSize,
    heartbeat: heartbeat.interval,
    features: [],
    instance,
  })
  const connection = new PeerConnection({
    peerId,
    ownPeerId: settings.identity.peerId,
    clock,
    context: session,
    connectTimeout: timeouts.connect,
    cooldown: timeouts.cooldown,
    reconnect: settings.reconnect,
    streams: traffic,
    dial: (address, signal) => host().dial(peerId, address, signal),
    setup,
    known: () => peer.remembered,
    dials,
    allowance: dormant?.allowance,
    outage: dormant?.outage === true,
    endedIds: remembered?.endedIds ?? [],
    refuses: () => peer.refuses(),
    changed: (state, events, input) => peer.onConnection(state, events, input),
    gaveUp: () => peer.close('gave-up'),
    idle: () => peer.idle(),
  })
  const wasEstablished = remembered !== undefined
  const peer: Peer = new Peer({
    peerId,
    instance,
    connection,
    traffic,
    history,
    wasEstablished,
    resume: timeouts.resume,
    clock,
    hub,
    logger: session.logger,
    delivery,
    blocklist,
    owner,
  })
  return peer
}
