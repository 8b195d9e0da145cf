/** What has passed between this node and a peer. */
export interface Counts {
  /** Messages accepted for sending, and their bytes. */
  messagesSent: number
  bytesSent: number
  /** Messages that arrived here, and their bytes. */
  messagesReceived: number
  bytesReceived: number
  /** Of those received, how many were marked as redelivered. */
  redelivered: number
}
