import { hash } from 'node:crypto';
import type { Spend } from '../decide/plan.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import type { Database, Queries, Tx } from '../store/database.ts';
import { deleteSpentAfter, findSpent, insertSpent } from './store.ts';

/** 132 bits: nobody finds two of them by chance, and on purpose only among their own. */
const idLength = 22;

/**
 * Something of a single use: a `jti` within the space of whoever made it.
 * @param owner the credential's or key's own space: nobody can spend another one's
 * @param expiresAt milliseconds; after it the thing is refused for its age
 */
export function spendOf(kind: Spend['kind'], owner: string, jti: string, expiresAt: number): Spend {
  // a NumericDate may have a fraction (RFC 7519 §2), a column of integers may not
  return {
    kind,
    id: hash('sha256', `${kind}\0${owner}\0${jti}`, 'base64url').slice(0, idLength),
    expiresAt: Math.ceil(expiresAt),
  };
}

/**
 * What whoever sends an assertion again hears: what everybody hears who proves nothing. Its own transaction has settled
 * it, so nobody needs to put it on record.
 */
export const assertionReplayed = () =>
  new OAuthError('invalid_client', 'client authentication failed', { reason: 'assertion replayed', settled: true });

/** What whoever sends a DPoP proof again hears. Its own transaction has settled it. @see RFC 9449 §11.1 */
export const proofReplayed = () =>
  new OAuthError('invalid_dpop_proof', 'this DPoP proof was used before; make a new one', {
    reason: 'proof replayed',
    settled: true,
  });

/** Spends all of them. Answers the first that was spent before; the others stay spent. */
export async function spendAll(tx: Tx, spends: readonly Spend[]): Promise<Spend | undefined> {
  let before: Spend | undefined;
  for (const spend of spends) {
    if (!(await insertSpent(tx, spend.id, spend.expiresAt))) before ??= spend;
  }
  return before;
}

/** Whether it was spent by now. Only `spendAll` tells that it was not: this spares work. */
export const wasSpent = (q: Queries, { id }: Spend): Promise<boolean> => findSpent(q, id);

const lookedAtOnce = 5000;

/** Forgets what has expired, a part at a time so that nobody waits for it. */
export async function forgetSpent(deps: { db: Database; clock: { now(): number } }): Promise<void> {
  let after: string | undefined = '';
  while (after !== undefined) {
    const from: string = after;
    after = await deps.db.settle((tx) => deleteSpentAfter(tx, from, deps.clock.now(), lookedAtOnce));
  }
}
