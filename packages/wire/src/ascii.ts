const encoder = new TextEncoder()

/** The bytes of a text that is known to be ASCII. */
export function asciiToBytes(text: string): Uint8Array {
  return encoder.encode(text)
}

/** One character a byte; bytes above 0x7f become characters that no stream name has. */
export function bytesToAscii(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes)
}
