import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { spawnNode } from '@glueberry/testkit'

/** Runs a program of a document as a user would who has pasted it into a file; `name` tells it from others at the same time. */
export async function runProgram(
  name: string,
  source: string,
): Promise<{ code: unknown; lines: readonly string[]; errors: readonly string[] }> {
  const folder = fileURLToPath(new URL(`../.programs-${name}`, import.meta.url)) // inside the package, so that it can import itself
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'program.ts'), source)
  await using child = spawnNode([join(folder, 'program.ts')])
  const code = await child.ended
  rmSync(folder, { recursive: true, force: true })
  return { code, lines: child.lines, errors: child.errorLines }
}
