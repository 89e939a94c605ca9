import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** So many files share a process: it has loaded the server once then, and made the code that they all run fast. */
const together = 8;

/** Runs whole programs, or restarts servers: it takes long, mostly waiting, and gains nothing from company. */
const long = /^(scripts|bench|examples)\/|\/testing\/killed\.ts'/;

/** What would reach the other files: hooks of a whole file, and what a process has but one of. */
const ownProcess = /^(before|after)(Each)?\(|\bprocess\.(env|on|once|exit|chdir|execArgv)\b|\bmock\.|\bSymbol\.for\(/m;

/**
 * How test files are laid out on processes, what takes longest first, so that nobody waits for it at the end. Files share a process only
 * where neither reaches the other.
 *
 * @param files by their paths in the workspace
 * @param folder where to put the files that stand for several
 * @returns what to give to `node --test`
 */
export function batchesOf(root: string, files: readonly string[], folder: string): string[] {
  const longest: string[] = [];
  const alone: string[] = [];
  const shared: string[] = [];
  for (const file of files) {
    const text = readFileSync(join(root, file), 'utf8');
    if (long.test(file) || long.test(text)) longest.push(file);
    else (ownProcess.test(text) ? alone : shared).push(file);
  }
  const batches: string[] = [];
  for (let at = 0; at < shared.length; at += together) {
    const batch = join(folder, `batch-${at / together + 1}.mjs`);
    const lines = shared
      .slice(at, at + together)
      .map((file) => `import ${JSON.stringify(pathToFileURL(join(root, file)).href)};\n`);
    writeFileSync(batch, lines.join(''));
    batches.push(batch);
  }
  return [...longest, ...batches, ...alone];
}
