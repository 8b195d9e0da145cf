/** What a node calls itself in SETUP: this package and its version, for others' logs. */
export const AGENT = 'glueberry-ts/0.1.0'
