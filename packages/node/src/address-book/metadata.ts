import { inspect } from 'node:util'
import { GlueberryError } from '../errors.ts'
import { isObject } from '../options/check.ts'

/** @param max bytes that it may take as JSON. @throws GlueberryError `INVALID_OPTION` unless it is a small record of texts */
export function checkMetadata(metadata: unknown, max: number): void {
  if (metadata === undefined) return
  const isRecord =
    isObject(metadata) &&
    !(metadata instanceof Map) &&
    Object.values(metadata).every((value) => typeof value === 'string')
  if (!isRecord) {
    const got = inspect(metadata, { depth: 1, maxStringLength: 60 })
    throw new GlueberryError('INVALID_OPTION', `metadata must be a record of texts, got ${got}`)
  }
  const size = Buffer.byteLength(JSON.stringify(metadata))
  if (size > max) {
    const text = `metadata must take at most limits.metadataSize (${max}) bytes as JSON, got ${size}`
    throw new GlueberryError('INVALID_OPTION', text)
  }
}
