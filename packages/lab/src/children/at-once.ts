/** Does the same again and again, so often at once, as long as more is wanted and this program's input has not ended. */
export async function atOnce(
  times: number,
  wanted: () => boolean,
  once: (which: number) => Promise<void>,
): Promise<void> {
  let over = false
  process.stdin.once('end', () => {
    over = true
  })
  process.stdin.resume()
  await Promise.all(
    Array.from({ length: times }, async (_, which) => {
      while (wanted() && !over) await once(which)
    }),
  )
  process.stdin.destroy()
}
