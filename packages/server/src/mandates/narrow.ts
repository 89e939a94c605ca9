/** What becomes of a mandate that is narrowed: in no way more than it was. */
import { type ComparedType, type Excess, excessOf } from '@bailiwick/protocol';
import { Unfit } from '../lib/unfit.ts';
import type { AmountLimit, Mandate, MandateLimits } from './mandate.ts';

/** The member of the body that says it. */
const fields: Readonly<Record<Excess['what'], string>> = {
  resource: 'resources',
  scope: 'resources',
  authorization_details: 'resources',
  context: 'context',
  task: 'task',
  limits: 'limits',
  passing: 'passing',
  lifetime: 'expires_at',
};

/**
 * @param typesOf the types of details of a resource, by its id
 * @throws Unfit naming what would be more
 */
export function mustBeNarrower(
  after: Mandate,
  before: Mandate,
  typesOf: (resource: string) => readonly ComparedType[],
): void {
  const [beyond] = excessOf(after, before, typesOf);
  if (beyond) throw new Unfit(fields[beyond.what], 'must be within what it allows now: give a new mandate for more');
}

/**
 * Limits in the order in which they are counted: those that there were, each of the same as before, and then new ones.
 * @throws Unfit
 */
export function narrowedLimits(before: MandateLimits, wanted: MandateLimits): MandateLimits {
  const named = wanted.amounts ?? [];
  const kept = (before.amounts ?? []).map((limit) => {
    const same = named.find((each) => whatOf(each) === whatOf(limit));
    if (same) return same;
    throw new Unfit(
      'limits.amounts',
      `must keep the limit of ${limit.type} at ${limit.amount}: give a new mandate for more`,
    );
  });
  const amounts = [...kept, ...named.filter((each) => !kept.includes(each))];
  return { ...(wanted.uses !== undefined && { uses: wanted.uses }), ...(amounts.length > 0 && { amounts }) };
}

const whatOf = ({ type, amount, unit }: AmountLimit) => JSON.stringify([type, amount, unit?.at, unit?.is]);
