/**
 * What a statement costs whoever decides: bounded when it is written, since a decision can't be interrupted. It is counted in parts of its
 * tree, each of which takes Cedar one to two microseconds; what takes longer counts for more.
 */
import { comparison } from './atoms.ts';
import type { Expr } from './cedar.ts';
import { errorAt, type PolicyError, type Source } from './policy-error.ts';
import { pathOf } from './terms.ts';
import type { Words } from './words.ts';

/** Of all statements of a set together: some 15 ms, if Cedar has to be asked about each. */
export const mostCost = 10_000;
/** Of one statement. */
export const mostCostOfOne = 2_000;

/** `like`: characters of the pattern, each of which can be compared with each of a text. A purpose has up to 2,000. */
const longestPattern = 128;
const mostWildcards = 8;
const costOfCharacter = 8;

/** Two sets, or records, of which neither stands in the policy: a request can have a hundred scopes. */
const costOfSets = 50;

type Operands = { left?: Expr; right?: Expr; pattern?: ('Wildcard' | { Literal: string })[] };

/**
 * Adds up what the conditions of a statement cost.
 * @throws PolicyError where it is too much, and for a `like` that asks more than whether a text of the request is like a short pattern
 */
export function costOf(words: Words, source: Source, at: number, conditions: readonly Expr[]): number {
  let cost = 1;
  for (const condition of conditions) cost += weigh(words, source, at, condition);
  if (cost > mostCostOfOne) throw tooCostly(source, at, 'the statement takes', mostCostOfOne);
  return cost;
}

/** Says that this is too much. */
export const tooCostly = (source: Source, at: number, what: string, most: number): PolicyError =>
  errorAt(
    source,
    at,
    `${what} too long to decide`,
    `at most ${most} operators, names and values; every character after a * of a pattern counts for ${costOfCharacter}`,
  );

function weigh(words: Words, source: Source, at: number, expr: Expr): number {
  const [operator = '', given] = Object.entries(expr)[0] ?? [];
  if (operator === 'Value') return 1;
  let cost = 1;
  if (operator === 'like') cost += weighPattern(source, at, given as Operands);
  else if (comparesSets.has(operator) && !standsThere(given as Operands) && comparison(words, expr) === undefined) {
    cost += costOfSets;
  }
  if (operator === 'has' && Array.isArray((given as { attr: unknown }).attr)) {
    cost += (given as { attr: string[] }).attr.length;
  }
  if (typeof given !== 'object' || given === null) return cost;
  for (const [name, part] of Object.entries(given as object)) {
    const isPart = typeof part === 'object' && part !== null && (operator === 'Record' || !partless.has(name));
    if (isPart) cost += weigh(words, source, at, part as Expr);
  }
  return cost;
}

const comparesSets = new Set(['==', '!=', 'contains', 'containsAll', 'containsAny']);
const partless = new Set(['pattern', 'attr']);

/** Whether one side is a single value of the policy's own. */
const standsThere = ({ left, right }: Operands): boolean =>
  [left, right].some((side) => side !== undefined && 'Value' in side);

function weighPattern(source: Source, at: number, { left, pattern = [] }: Operands): number {
  if (left === undefined || pathOf(left) === undefined) {
    throw errorAt(
      source,
      at,
      'like asks about a text of the request alone, and not about what the policy makes of it',
      'context.task.purpose like "…", or principal.getTag("name") like "…"',
    );
  }
  const wildcards = pattern.filter((part) => part === 'Wildcard').length;
  const lengths = pattern.map((part) => (part === 'Wildcard' ? 0 : part.Literal.length));
  const all = lengths.reduce((sum, length) => sum + length, 0);
  if (all > longestPattern || wildcards > mostWildcards) {
    throw errorAt(
      source,
      at,
      'the pattern is too long',
      `at most ${longestPattern} characters and ${mostWildcards} times *`,
    );
  }
  const first = pattern.indexOf('Wildcard');
  // what comes before is compared once
  const searched = first < 0 ? 0 : lengths.slice(first).reduce((sum, length) => sum + length, 0);
  return all + searched * costOfCharacter;
}
