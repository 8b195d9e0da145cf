/**
 * What a command was asked to do, as `read` makes it of the arguments. It prints the usage and exits when `read` returns
 * undefined, which is for `--help`; and with code 2, saying why, when it throws.
 */
export function readCommandLine<T>(usage: string, read: (args: string[]) => T | undefined): T {
  try {
    const asked = read(process.argv.slice(2))
    if (asked !== undefined) return asked
    console.log(usage)
    process.exit()
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${usage}`)
    process.exit(2)
  }
}
