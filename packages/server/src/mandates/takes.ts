/** What a token takes of what mandates limit: a use, and of amounts what its details say. */
import type { AuthorizationDetail } from '@bailiwick/protocol';
import { OAuthError } from '../lib/oauth-error.ts';
import { partsPerUnit, type Take } from './ledger.ts';
import type { AmountLimit, Mandate } from './mandate.ts';

/** Types of details that a detail gives without saying them: an operation that it names takes such. */
export type TypesBehind = (detail: AuthorizationDetail) => readonly string[];

/**
 * What a token with these details takes of every mandate of its line.
 * @throws OAuthError `invalid_authorization_details` for a detail of a limited type whose amount can't be read, or isn't counted in its unit,
 *   and for one that gives such without saying how much
 */
export const takesOf = (
  line: readonly Mandate[],
  details: readonly AuthorizationDetail[],
  typesBehind: TypesBehind,
): Take[] =>
  line.flatMap(({ id, limits }) => [
    ...(limits.uses === undefined ? [] : [{ mandate: id, counter: 'uses', take: 1 }]),
    ...amountsOf(id, limits.amounts ?? [], details, typesBehind),
  ]);

function amountsOf(
  mandate: string,
  limits: readonly AmountLimit[],
  details: readonly AuthorizationDetail[],
  typesBehind: TypesBehind,
): Take[] {
  const takes = limits.map(() => 0);
  for (const [at, detail] of details.entries()) {
    const behind = limits.length === 0 ? [] : typesBehind(detail);
    const unsaid = limits.find(({ type }) => behind.includes(type));
    if (unsaid)
      throw uncountable(mandate, at, `names an operation that takes ${unsaid.type}, which is counted: name that`);
    const ofType = limits.filter(({ type }) => type === detail.type);
    for (const amount of new Set(ofType.map((limit) => limit.amount))) {
      const parts = partsIn(valueAt(detail, amount));
      const counted = ofType.filter((limit) => limit.amount === amount && isOfUnit(limit, detail));
      if (parts === undefined || counted.length === 0) throw uncountable(mandate, at, whyNot(amount, parts));
      for (const limit of counted) takes[limits.indexOf(limit)] = (takes[limits.indexOf(limit)] ?? 0) + parts;
    }
  }
  return takes.flatMap((take, index) => {
    if (take === 0) return [];
    // more than can be counted is more than any limit leaves
    return [{ mandate, counter: `amount:${index}`, take: Math.min(take, Number.MAX_SAFE_INTEGER) }];
  });
}

const isOfUnit = ({ unit }: AmountLimit, detail: AuthorizationDetail): boolean =>
  unit === undefined || valueAt(detail, unit.at) === unit.is;

/** @see RFC 6901 */
function valueAt(detail: unknown, pointer: string): unknown {
  let value = detail;
  for (const token of pointer.split('/').slice(1)) {
    const name = token.replaceAll('~1', '/').replaceAll('~0', '~');
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}

/** An amount in millionths, exactly: a number or a decimal number as text, not negative, with at most six decimals. */
function partsIn(value: unknown): number | undefined {
  const text = typeof value === 'number' ? String(value) : value;
  const [, whole, fraction = ''] = (typeof text === 'string' && /^(\d{1,15})(?:\.(\d{1,6}))?$/.exec(text)) || [];
  if (whole === undefined) return undefined;
  return Number(whole) * partsPerUnit + Number(fraction.padEnd(6, '0'));
}

const whyNot = (amount: string, parts: number | undefined): string =>
  parts === undefined
    ? `must say a readable amount at ${amount}: not negative, with at most six decimals`
    : 'is in a unit in which nothing is counted';

const uncountable = (mandate: string, index: number, why: string): OAuthError =>
  new OAuthError('invalid_authorization_details', `authorization_details[${index}] ${why} (mandate ${mandate})`);
