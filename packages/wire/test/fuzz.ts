// `npm run fuzz -- [minutes] [seed]`: the decoders of the hostile-bytes test, for as long as asked. Exits 1 on a finding.
import { decoders } from './support/decoders.ts'
import { throwHostile } from './support/throw-hostile.ts'

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
  for (const decoder of decoders) {
    const thrown = throwHostile(decoder, Math.ceil(decoder.share * 1000), seed)
    inputs += thrown.inputs
    if (thrown.failure === undefined) continue
    findings++
    console.error(thrown.failure)
  }
  console.log(`${inputs.toLocaleString('en')} inputs, ${findings} findings, seed ${seed}`)
}
process.exit(findings === 0 ? 0 : 1)
