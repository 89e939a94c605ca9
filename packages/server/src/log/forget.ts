/** What leaves the index: persons that are erased, and events whose time is over. */
import { openEvents } from '../audit/audit.ts';
import type { Deps } from '../deps.ts';
import type { Tx } from '../store/database.ts';
import type { EventRow } from '../store/tables.ts';
import { ownerOfTarget } from './concerned-store.ts';
import { deleteTerms, deleteTermsOf } from './index-store.ts';
import { termsOf } from './indexer.ts';
import { contentTerm, subjectTerm } from './terms.ts';

/**
 * Makes unfindable what is a person's, or a team's that answered for agents: it goes with the key under which it was sealed (`eraseSealed`),
 * in the same transaction.
 */
export async function forgetPersonal(tx: Tx, { audit }: Pick<Deps, 'audit'>, subject: string): Promise<void> {
  await deleteTermsOf(tx, subjectTerm(audit.indexKey, subject));
}

/** Takes events out of the index, before or as they are taken out of the log. */
export async function forgetEvents(tx: Tx, { audit }: Pick<Deps, 'audit'>, rows: readonly EventRow[]): Promise<void> {
  const contents = rows.flatMap(({ personal, arrival }) =>
    personal === null ? [] : [[contentTerm(personal), arrival] as const],
  );
  await deleteTerms(tx, 'event_terms', contents);
  for (const event of await openEvents(tx, rows)) {
    const { target } = event.leaf as { target?: string };
    const concerned = target === undefined ? undefined : await ownerOfTarget(tx, target);
    const { open, personal } = termsOf(audit.indexKey, event, concerned);
    const at = (term: number) => [term, event.arrival] as const;
    await deleteTerms(tx, 'event_terms', [...open].map(at));
    await deleteTerms(tx, 'personal_terms', [...personal.keys()].map(at));
  }
}
