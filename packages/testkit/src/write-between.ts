import { readFile, writeFile } from 'node:fs/promises'

/** Puts the text between a file's two marks, in place of what is there. @throws Error when the file has not both */
export async function writeBetween(path: string, begin: string, end: string, text: string): Promise<void> {
  const before = await readFile(path, 'utf8')
  const [from, to] = [before.indexOf(begin), before.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`${path} has no place for it, between ${begin} and ${end}`)
  await writeFile(path, `${before.slice(0, from + begin.length)}\n\n${text}\n${before.slice(to)}`)
}
