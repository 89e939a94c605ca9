/** Values as one writes them on a command line. */
import { CliError } from './errors.ts';

/** @throws CliError (usage) that names the option */
export function wholeNumber(option: string, text: string, { least = 1, most = 1_000_000 } = {}): number {
  const number = Number(text);
  if (/^\d+$/.test(text) && number >= least && number <= most) return number;
  throw new CliError('usage', `${option} must be a whole number from ${least} to ${most}, not "${text}".`);
}

/** Splits `name=rest` at the first `=`. @throws CliError (usage) */
export function pair(option: string, text: string, shape: string): [string, string] {
  const at = text.indexOf('=');
  if (at > 0) return [text.slice(0, at), text.slice(at + 1)];
  throw new CliError('usage', `${option} "${text}" isn't understood: it reads ${shape}.`);
}

/** One after the other, so that the first mistake is the one that is told. */
export async function inOrder<In, Out>(items: readonly In[], work: (item: In) => Promise<Out>): Promise<Out[]> {
  const results: Out[] = [];
  for (const item of items) results.push(await work(item));
  return results;
}
