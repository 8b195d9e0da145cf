// Loaded before a program (`--import`): ends it without a word at one moment of one save, as a power cut would. Where a
// save renames what was not synced, a real power cut would leave an empty file: that is told.
import promises from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'

/** Of a save, in their order. */
export type Moment = 'opened' | 'half written' | 'written' | 'synced' | 'renamed'

const [save, moment] = (process.env['POWER_CUT'] ?? '').split(': ')
const { open, rename } = promises
let saves = 0
const unsynced = new Set<string>()

function at(now: Moment): void {
  if (saves === Number(save) && now === moment) process.kill(process.pid, 'SIGKILL')
}

promises.open = async (path, flags, mode) => {
  const file = await open(path, flags, mode)
  const name = String(path)
  if (!name.endsWith('.tmp')) return file
  saves++
  at('opened')
  const { writeFile, sync } = file
  file.writeFile = async (data, options) => {
    unsynced.add(name)
    if (saves === Number(save) && moment === 'half written') {
      await writeFile.call(file, String(data).slice(0, String(data).length / 2), options)
      at('half written')
    }
    await writeFile.call(file, data, options)
    at('written')
  }
  file.sync = async () => {
    await sync.call(file)
    unsynced.delete(name)
    at('synced')
  }
  return file
}
promises.rename = async (from, to) => {
  if (unsynced.has(String(from))) console.log(`unsynced ${from}`)
  await rename(from, to)
  if (String(from).endsWith('.tmp')) at('renamed')
}
syncBuiltinESMExports()
