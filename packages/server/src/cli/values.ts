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

const unitMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** A span of time such as `90s`, `10m`, `1h`, `30d` or `2w`, in milliseconds. @throws CliError (usage) that names the option */
export function duration(option: string, text: string): number {
  const [, count = '', unit = ''] = /^(\d{1,6})([smhdw])$/.exec(text) ?? [];
  const ms = Number(count) * (unitMs[unit] ?? Number.NaN);
  if (count !== '' && !Number.isNaN(ms)) return ms;
  throw new CliError('usage', `${option} "${text}" isn't understood: it reads 90s, 10m, 1h, 30d or 2w.`);
}

/** An instant as the admin API takes it: said as such, or as how long from now. */
export function instant(option: string, text: string | undefined, now: number): string | undefined {
  if (text === undefined || !/^\d+[a-z]?$/i.test(text)) return text;
  return new Date(now + duration(option, text)).toISOString();
}
