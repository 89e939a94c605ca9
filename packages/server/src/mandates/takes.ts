/** What a token takes of what mandates limit: a use, and of amounts what its details say. */
import type { AuthorizationDetail } from '@bailiwick/protocol';
import { OAuthError } from '../lib/oauth-error.ts';
import { partsPerUnit, type Take } from './ledger.ts';
import type { AmountLimit, Mandate } from './mandate.ts';

/**
 * What a token with these details takes of every mandate of its line.
 * @throws OAuthError `invalid_authorization_details` for a detail of a limited type whose amount can't be read, or isn't counted in its unit
 */
export const takesOf = (line: readonly Mandate[], details: readonly AuthorizationDetail[]): Take[] =>
  line.flatMap(({ id, limits }) => [
    ...(limits.uses === undefined ? [] : [{ mandate: id, counter: 'uses', take: 1 }]),
    ...amountsOf(id, limits.amounts ?? [], details),
  ]);

function amountsOf(mandate: string, limits: readonly AmountLimit[], details: readonly AuthorizationDetail[]): Take[] {
  const takes = limits.map(() => 0);
  for (const [at, detail] of details.entries()) {
    const ofType = limits.filter(({ type }) => type === detail.type);
    for (const amount of new Set(ofType.map((limit) => limit.amount))) {
      const parts = partsIn(valueAt(detail, amount));
      const counted = ofType.filter((limit) => limit.amount === amount && isOfUnit(limit, detail));
      if (parts === undefined || counted.length === 0) throw uncountable(mandate, at, amount, parts === undefined);
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

function uncountable(mandate: string, index: number, amount: string, unreadable: boolean): OAuthError {
  const why = unreadable
    ? `must say a readable amount at ${amount}: not negative, with at most six decimals`
    : 'is in a unit in which nothing is counted';
  const message = `authorization_details[${index}] ${why} (mandate ${mandate})`;
  return new OAuthError('invalid_authorization_details', message);
}
