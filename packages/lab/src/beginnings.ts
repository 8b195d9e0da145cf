// How a connection to a libp2p node begins, for those who go no further.

export const MULTISTREAM: Uint8Array = Buffer.from('\x13/multistream/1.0.0\n')
export const NOISE: Uint8Array = Buffer.from('\x07/noise\n')
