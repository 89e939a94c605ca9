/** What tells one happening from another, as the other side names it: what came from us, and what came before by another way. */
import { hash } from 'node:crypto';
import { findEvent } from '../audit/store.ts';
import type { Spend } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';
import { numericDate } from '../lib/clock.ts';
import { isId } from '../lib/ids.ts';
import type { Source } from '../ssf/source.ts';
import { subjectKey } from '../ssf/subject.ts';
import { signalsOf } from '../ssf/tell.ts';
import { toldWithin } from '../ssf/told-store.ts';
import { spendOf } from '../tokens/spend.ts';
import { keptMs, type ReadSet } from './read-set.ts';

/**
 * Whether a signal tells of what we told ourselves: it has our name as its issuer, goes back to an event of the same organization by its `txn`,
 * or is just what we told: the same event about the same subject, of the same second. What it would do here was done when we told it. Done
 * again, it would be told again, and come back, without end.
 */
export async function cameFromUs(deps: Deps, source: Source, set: ReadSet): Promise<boolean> {
  const { db, config, clock } = deps;
  if (source.issuer === config.issuer) return true;
  const { txn } = set;
  if (txn !== undefined && isId('event', txn)) return (await findEvent(db, txn))?.org === source.org;
  const { event_timestamp: at } = set.says;
  if (set.known === undefined || typeof at !== 'number' || !(at > 0 && at <= numericDate(clock.now()))) return false;
  const world = { q: db, config };
  for (const event of await toldWithin(db, source.org, Math.floor(at))) {
    const told = await signalsOf(world, event);
    if (told.some(({ type, subject }) => type === set.event && subjectKey(subject) === subjectKey(set.subject))) {
      return true;
    }
  }
  return false;
}

/**
 * What one happening does to somebody is spent by that: the same comes back by another way, over a third who heard it of us. Only where `txn`
 * is an id as we make them: others may name many things by one. Undefined: there is nothing to tell it by.
 */
export function effectSpend({ org }: Source, { txn, issuedAt }: ReadSet, what: string): Spend | undefined {
  if (txn === undefined || !isId('event', txn)) return undefined;
  return spendOf('set', `${org}/effects`, `${txn}\0${what}`, issuedAt + keptMs);
}

/**
 * Where there is nothing to tell one happening from another by, what is done to somebody is told onward once in a minute: it is done
 * each time that a signal says so, but who passes on what we tell, and says nothing of where it is from, is soon told no more.
 */
export function onwardSpend({ org }: Source, what: string, now: number): Spend {
  const minute = Math.floor(now / 60_000);
  return spendOf('set', `${org}/onward`, `${minute}\0${what}`, (minute + 2) * 60_000);
}

/** An id that a program made: it says nothing of anybody. */
const made = /^(?=[^\d]*\d)[A-Za-z0-9_-]{16,64}$/;

/** As the log may keep it for ever: an id as it is, anything else by its hash alone. It is text of somebody outside, and nothing there is erased. */
export const keptId = (text: string): string =>
  made.test(text) ? text : `sha256:${hash('sha256', text, 'base64url').slice(0, 22)}`;
