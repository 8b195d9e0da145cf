/** Bytes of a hex text; spaces are ignored. */
export const bytes = (hex: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(Buffer.from(hex.replace(/\s/g, ''), 'hex'))

export const hex = (data: Uint8Array): string => Buffer.from(data).toString('hex')
