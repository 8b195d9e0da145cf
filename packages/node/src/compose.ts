import { IdentityKeys } from '@glueberry/wire'
import { AddressBook } from './address-book/address-book.ts'
import { openStore } from './address-book/open-store.ts'
import { composePeer, type PeerContext } from './compose-peer.ts'
import { Admission } from './connection/admission.ts'
import { Dials } from './connection/dials.ts'
import type { GlueberryError } from './errors.ts'
import { EventHub } from './events/event-hub.ts'
import { seedOf } from './identity.ts'
import { Lifecycle } from './lifecycle.ts'
import { LoopShare } from './limits/loop-share.ts'
import { PendingMemory } from './limits/pending-memory.ts'
import { Meter } from './observe/metrics.ts'
import { BUDGET_SLACK } from './options/flow-limits.ts'
import type { Settings } from './options/settings.ts'
import { AcceptedNames } from './peers/accepted-names.ts'
import { Blocklist } from './peers/blocklist.ts'
import { Inbound } from './peers/inbound.ts'
import { Peers, type PeersOptions } from './peers/peers.ts'
import type { Platform } from './platform.ts'
import type { SessionContext } from './session/session-owner.ts'
import { Budget } from './stream/budget.ts'
import { Delivery } from './stream/delivery.ts'
import { GrantQueue } from './stream/grant-queue.ts'
import type { Host } from './transport/transport.ts'

/** What a node consists of, as its façade needs it. */
export interface NodeParts {
  readonly life: Lifecycle
  readonly hub: EventHub
  readonly delivery: Delivery
  readonly peers: Peers
  readonly names: AcceptedNames
  /** Messages that are here, or promised room. */
  readonly budget: Budget
  /** Messages that are kept for peers. */
  readonly kept: Budget
}

/** Puts a node together: the one place that knows all of its parts. Nothing runs yet. */
export function composeNode(settings: Settings, platform: Platform): NodeParts {
  const { clock } = platform
  const { limits, logger, metrics, flow } = settings
  const budget = new Budget(flow.nodeBudget + BUDGET_SLACK)
  const grants = new GrantQueue(budget)
  const kept = new Budget(flow.nodeBudget + BUDGET_SLACK)
  const meter =
    metrics &&
    new Meter(metrics, clock, logger, {
      stats: () => peers.stats(),
      peers: () => peers.count(),
      held: () => budget.held,
      buffered: () => kept.used,
    })
  const hub = new EventHub(clock, limits.eventBuffer, logger, (event) => meter?.event(event))
  const report = (error: GlueberryError): void => {
    const { code, hint, message } = error
    logger.error(`something went wrong (${code})`, { error: message, ...(hint === undefined ? {} : { hint }) })
    hub.emit({ type: 'error', error })
  }
  const loop = new LoopShare(clock)
  const delivery = new Delivery({
    clock,
    logger,
    loop,
    settle: (inbox, message, failed) => peers.get(inbox.peerId)?.settle(inbox, message, failed),
    failed: (message, error) => {
      const { peerId, stream, sequence } = message
      logger.error('a handler failed', { stream, peerId, sequence, error: error.cause })
      hub.emit({ type: 'handler-failed', peerId, stream, message, error, count: 1 })
    },
  })
  const book = new AddressBook({ store: openStore(settings.addressBook, clock, report), clock, report })
  const host = (): Host => life.host
  const shared = { settings, clock, hub, delivery, budget, grants, kept, meter, book, loop, report, host }
  const { peers, names, inbound } = composePeers(shared)
  const life: Lifecycle = new Lifecycle({ settings, platform, hub, delivery, book, meter, peers, inbound })
  return { life, hub, delivery, peers, names, budget, kept }
}

interface Shared
  extends Pick<PeerContext, 'settings' | 'clock' | 'hub' | 'delivery' | 'budget' | 'grants' | 'kept' | 'host'> {
  readonly meter: Meter | undefined
  readonly book: AddressBook
  readonly loop: LoopShare
  /** Something went wrong that no call can be told of. */
  report(error: GlueberryError): void
}

/** The registry of peers, and how they come in. */
function composePeers(shared: Shared): Pick<NodeParts, 'peers' | 'names'> & { readonly inbound: Inbound } {
  const { settings, clock, hub, delivery, budget, grants, kept } = shared
  const { meter, book, loop, report, host } = shared
  const { identity, limits, timeouts, network, cipher, heartbeat, handshake, logger } = settings
  const seed = seedOf(identity)
  const keys = new IdentityKeys(seed)
  seed.fill(0)
  const pending = new PendingMemory(limits.pendingMemory)
  const admission = new Admission({
    clock,
    max: limits.pendingConnections,
    maxPerOrigin: limits.pendingPerAddress,
    memory: pending,
    timeout: timeouts.handshake,
  })
  const dials = new Dials(clock, limits.backgroundDials)
  const names = new AcceptedNames(settings)
  const blocklist = new Blocklist(clock, (peerId) => peers.unblocked(peerId).catch(() => {})) // reported
  const session: SessionContext = {
    clock,
    logger,
    keys,
    network,
    names: () => names.all,
    aes: cipher === undefined ? undefined : cipher === 'aes-256-gcm',
    handshakeTimeout: timeouts.handshake,
    ownPeerId: identity.peerId,
    pending,
    heartbeat,
    keyLife: { age: timeouts.session, bytes: limits.sessionBytes },
    handshake,
    report,
    measured: (roundTrip) => meter?.roundTrip(roundTrip),
  }
  const own = { blocklist, session, dials, names: () => names.all, logger, resume: timeouts.resume }
  const context: PeerContext = { settings, clock, hub, delivery, budget, grants, kept, host, ...own }
  const compose: PeersOptions['compose'] = (peerId, owner, earlier) => composePeer(peerId, context, owner, earlier)
  const peers = new Peers({ settings, clock, hub, book, meter, names, dials, blocklist, admission, keys, compose })
  const inbound = new Inbound({
    clock,
    timeout: timeouts.handshake,
    loop,
    admission,
    stopped: () => peers.stopped,
    admits: (peerId) => blocklist.get(peerId) === undefined,
    obtain: (peerId) => peers.obtain(peerId),
    get: (peerId) => peers.get(peerId),
    addresses: (addresses) => hub.emit({ type: 'addresses', addresses }),
  })
  return { peers, names, inbound }
}
