/** What tells one happening from another, as the other side names it: what came from us, and what came before by another way. */
import { hash } from 'node:crypto';
import { findEvent } from '../audit/store.ts';
import type { Spend } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';
import { isId } from '../lib/ids.ts';
import type { Source } from '../ssf/source.ts';
import type { Queries } from '../store/database.ts';
import { spendOf } from '../tokens/spend.ts';
import { oldestMs, type ReadSet } from './read-set.ts';

/**
 * Whether a signal tells of what we told ourselves: it has our name as its issuer, or goes back to an event of the same organization by its `txn`.
 * What it would do here was done when we told it; done again, it would be told again, and come back, without end.
 */
export async function cameFromUs(q: Queries, { config }: Deps, source: Source, { txn }: ReadSet): Promise<boolean> {
  if (source.issuer === config.issuer) return true;
  return txn !== undefined && isId('event', txn) && (await findEvent(q, txn))?.org === source.org;
}

/**
 * What one happening does to somebody is spent by that: the same comes back by another way, over a third who heard it of us. Only where `txn`
 * is an id as we make them: others may name many things by one. Undefined: there is nothing to tell it by.
 */
export function effectSpend({ org }: Source, { txn, issuedAt }: ReadSet, what: string): Spend | undefined {
  if (txn === undefined || !isId('event', txn)) return undefined;
  return spendOf('set', `${org}/effects`, `${txn}\0${what}`, issuedAt + oldestMs + 120_000);
}

/** An id that a program made: it says nothing of anybody. */
const made = /^(?=[^\d]*\d)[A-Za-z0-9_-]{16,64}$/;

/** As the log may keep it for ever: an id as it is, anything else by its hash alone. It is text of somebody outside, and nothing there is erased. */
export const keptId = (text: string): string =>
  made.test(text) ? text : `sha256:${hash('sha256', text, 'base64url').slice(0, 22)}`;
