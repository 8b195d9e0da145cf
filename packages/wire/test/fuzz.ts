// `npm run fuzz -- [minutes] [seed]`: the decoders of the hostile-bytes test, for as long as asked. Exits 1 on a finding.
import fc from 'fast-check'
import { WireError } from '../src/index.ts'
import { decoders, hostileBytes } from './support/decoders.ts'

const minutes = Number(process.argv[2] ?? 5)
const firstSeed = Number(process.argv[3] ?? Date.now() % 2 ** 31)
if (!(minutes > 0) || !Number.isInteger(firstSeed)) {
  console.error('usage: npm run fuzz -- [minutes > 0] [seed, an integer]')
  process.exit(2)
}

const end = Date.now() + minutes * 60_000
let inputs = 0
let findings = 0
for (let round = 0; Date.now() < end && findings === 0; round++) {
  const seed = firstSeed + round
  for (const { name, share, samples, decode } of decoders) {
    const result = fc.check(
      fc.property(hostileBytes(samples), (bytes) => {
        inputs++
        try {
          decode(bytes)
        } catch (error) {
          if (!(error instanceof WireError)) throw error
        }
      }),
      { numRuns: Math.ceil(share * 1000), seed, endOnFailure: false },
    )
    if (result.failed) {
      findings++
      console.error(`${name}: seed ${seed}\n${fc.defaultReportMessage(result)}`)
    }
  }
  console.log(`${inputs.toLocaleString('en')} inputs, ${findings} findings, seed ${seed}`)
}
process.exit(findings === 0 ? 0 : 1)
