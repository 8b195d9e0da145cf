/** Signals this close together are one wish: Ctrl+C may reach a program by its terminal and by npm as well. */
const BURST = 500

const EXIT_CODES: Partial<Record<NodeJS.Signals, number>> = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 }

/** The first wish to end calls `leave`, a later one ends the program at once. Returns what to call for a wish without a signal. */
export function onSignals(
  leave: () => void,
  leaveAtOnce: (exitCode: number) => void,
): (signal: NodeJS.Signals) => void {
  let first: number | undefined
  const wish = (signal: NodeJS.Signals): void => {
    if (first === undefined) {
      first = performance.now()
      leave()
    } else if (performance.now() - first > BURST) {
      leaveAtOnce(EXIT_CODES[signal] ?? 1)
    }
  }
  for (const signal of Object.keys(EXIT_CODES) as NodeJS.Signals[]) process.on(signal, wish)
  return wish
}
