/** What a claim has to be, for a rule to fit: exactly something, or something that begins or looks so. */
import type { JsonObject } from '@bailiwick/protocol';

export type ClaimRule = { exact: string | number | boolean } | { prefix: string } | { glob: string };

/** Whether all of these hold. Of a claim that is a list, one of its members has to fit. */
export function claimsFit(rules: Readonly<Record<string, ClaimRule>>, claims: JsonObject): boolean {
  return Object.entries(rules).every(([name, rule]) => {
    const value = Object.hasOwn(claims, name) ? claims[name] : undefined;
    return Array.isArray(value) ? value.some((each) => fits(rule, each)) : fits(rule, value);
  });
}

function fits(rule: ClaimRule, value: unknown): boolean {
  if ('exact' in rule) return value === rule.exact;
  if (typeof value !== 'string') return false;
  return 'prefix' in rule ? value.startsWith(rule.prefix) : fitsGlob(rule.glob, value);
}

/**
 * Whether text looks like a pattern in which `*` stands for any characters within one segment between slashes, none among them.
 * It never goes back, so nobody can make it slow.
 */
export function fitsGlob(pattern: string, text: string): boolean {
  const patterns = pattern.split('/');
  const segments = text.split('/');
  return patterns.length === segments.length && patterns.every((each, at) => fitsSegment(each, segments[at] as string));
}

/** The first and the last piece stand at the ends; each of the others is looked for behind the one before, as early as can be. */
function fitsSegment(pattern: string, segment: string): boolean {
  const [first = '', ...others] = pattern.split('*');
  const last = others.pop();
  if (last === undefined) return segment === pattern;
  if (!segment.startsWith(first) || !segment.endsWith(last)) return false;
  const end = segment.length - last.length;
  let at = first.length;
  for (const piece of others) {
    const found = segment.indexOf(piece, at);
    if (found < 0) return false;
    at = found + piece.length;
  }
  return at <= end;
}
