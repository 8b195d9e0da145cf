// One of the programs of a run. It does what the benchmark tells it over the channel between parent and child.
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { percentile } from '@glueberry/testkit'
import type { Endpoint, Link } from './contender.ts'
import { CONTENDERS } from './contenders/contenders.ts'
import { memory, obey } from './obey.ts'
import type { Orders } from './orders.ts'
import { CHANNELS, channelIn, channelOf, nameOf, sequenceIn, writeStamp } from './stamp.ts'

/** Messages so large are taken from a ring: what is filled anew each time would be measured instead of what sends it. */
const RING_FROM = 4096
const RING_BYTES = 64 * 1024 * 1024

const endpoints: Endpoint[] = []
const links: Link[] = []
let size = 0
let makeMessage = (): Uint8Array => new Uint8Array()

const expected = new Uint32Array(CHANNELS)
const sequences = new Uint32Array(CHANNELS)
let received = 0
let wrong = 0
let first = 0
let wanted = { count: Number.POSITIVE_INFINITY, resolve: (): void => undefined }
let cpu = process.cpuUsage()
let delay = 0
let hurry = (): void => undefined
let keepEvery = 0
let kept: Uint8Array[] = []
/** While round trips are measured: what to do when one comes back. */
let cameBack: (() => void) | undefined

function receive(message: Uint8Array): void {
  const channel = channelIn(message)
  if (message.length !== size || sequenceIn(message) !== expected[channel]) wrong++
  expected[channel] = sequenceIn(message) + 1
  if (received === 0) first = performance.now()
  received++
  if (keepEvery > 0 && received % keepEvery === 0) kept.push(message)
  if (received >= wanted.count) wanted.resolve()
}

/** @throws Error when a message was missing, doubled, misplaced or cut */
function checkOrder(): void {
  if (wrong > 0) throw new Error(`${wrong} messages were not the next one`)
}

function cutMessages(): () => Uint8Array {
  if (size < RING_FROM) return () => Buffer.allocUnsafe(size)
  const ring = Array.from({ length: Math.max(16, RING_BYTES / size) }, () => new Uint8Array(size))
  let next = 0
  return () => ring[next++ % ring.length] as Uint8Array
}

function nextMessage(channel: number): Uint8Array {
  const message = makeMessage()
  const sequence = sequences[channel] as number
  sequences[channel] = sequence + 1
  writeStamp(message, channel, sequence)
  return message
}

/** Sends on one link and name until the time is up, as a user would: in a loop that waits where it is asked to. */
async function sendUntil(end: number, link: Link, channel: number): Promise<number> {
  const name = nameOf(channel)
  const begin = sequences[channel] as number
  const glance = size < RING_FROM ? 64 : 1
  while (performance.now() < end) {
    for (let i = 0; i < glance; i++) {
      const wait = link.send(nextMessage(channel), name)
      if (wait !== undefined) await wait
    }
  }
  return (sequences[channel] as number) - begin
}

/** What the application waits for after a message, until another pace is ordered. */
function pace(): Promise<void> | undefined {
  if (delay === 0) return undefined
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, delay)
    hurry = () => {
      clearTimeout(timer)
      resolve()
    }
  })
}

/** It is looked at so often, in milliseconds, and what it says includes that. */
const RESOLUTION = 2
const loop = monitorEventLoopDelay({ resolution: RESOLUTION })
const peak = { heap: 0, rss: 0 }
let looking = false

function look(): void {
  const { heapUsed, external, rss } = process.memoryUsage()
  peak.heap = Math.max(peak.heap, heapUsed + external)
  peak.rss = Math.max(peak.rss, rss)
}

const orders: Orders = {
  async open({ contender: id, echoFrom, unread, ...options }) {
    if (size !== options.size) {
      size = options.size
      makeMessage = cutMessages()
    }
    const contender = await (CONTENDERS[id] as (typeof CONTENDERS)[string]).load()
    for (let i = 0; i < options.endpoints; i++) {
      endpoints.push(
        await contender.open({
          ...options,
          unread,
          peers: options.peers ?? 1,
          pace,
          receive: (message, from) => {
            if (nameOf(channelIn(message)) >= echoFrom) void from.send(message, nameOf(channelIn(message)))
            else {
              receive(message)
              cameBack?.()
            }
          },
        }),
      )
    }
    return { address: (endpoints[0] as Endpoint).address }
  },

  async connect(address) {
    for (const endpoint of endpoints.slice(links.length)) links.push(await endpoint.connect(address))
  },

  async first({ address, ...options }) {
    const started = performance.timeOrigin + performance.now()
    await orders.open({ ...options, endpoints: 1 })
    const connecting = performance.timeOrigin + performance.now()
    await orders.connect(address)
    await orders.stuff({ count: 1, name: 0 })
    return { started, connecting }
  },

  async mark() {
    received = 0
    wrong = 0
    cpu = process.cpuUsage()
  },

  async flood({ duration, names }) {
    const end = performance.now() + duration
    const loops: Promise<number>[] = []
    links.forEach((link, i) => {
      for (let name = 0; name < names; name++) loops.push(sendUntil(end, link, channelOf(i, name)))
    })
    return Promise.all(loops)
  },

  async stuff({ count, name }) {
    const link = links.at(-1) as Link
    const channel = channelOf(links.length - 1, name)
    for (let i = 0; i < count; i++) link.send(nextMessage(channel), name)?.catch(() => {}) // rejected at the end
  },

  async arrived(count) {
    if (received < count) {
      await new Promise<void>((resolve) => {
        wanted = { count, resolve }
      })
      wanted = { count: Number.POSITIVE_INFINITY, resolve: () => undefined }
    }
    checkOrder()
    return {
      received,
      duration: performance.now() - first,
      firstAt: performance.timeOrigin + first,
      cpu: process.cpuUsage(cpu),
      kept: kept.length,
    }
  },

  async trips({ count, outstanding, name }) {
    const [link] = links as [Link]
    const started: number[] = []
    const durations: number[] = []
    const begin = performance.now()
    await new Promise<void>((resolve) => {
      const send = (): void => {
        started.push(performance.now())
        void link.send(nextMessage(name), name)
      }
      cameBack = () => {
        durations.push(performance.now() - (started[durations.length] as number))
        if (started.length < count) send()
        else if (durations.length === count) resolve()
      }
      for (let i = 0; i < outstanding; i++) send()
    })
    cameBack = undefined
    checkOrder()
    const perSecond = (1000 * count) / (performance.now() - begin)
    return { p50: percentile(durations, 0.5), p99: percentile(durations, 0.99), perSecond }
  },

  async spent() {
    return process.cpuUsage(cpu)
  },

  async pace(duration) {
    delay = duration
    hurry()
  },

  async keep(every) {
    keepEvery = every
    kept = []
  },

  memory,

  async peak() {
    look()
    const seen = { ...peak, loopDelay: Math.max(0, loop.percentile(99) / 1e6 - RESOLUTION) }
    loop.reset()
    loop.enable()
    peak.heap = 0
    peak.rss = 0
    if (!looking) setInterval(look, 20).unref()
    looking = true
    return seen
  },

  async close() {
    await Promise.all(endpoints.map((endpoint) => endpoint.close()))
  },
}

obey(orders)
