/**
 * What is personal stands once for equal contents, however many events refer to it; so it can go only when the last of them has gone. Nobody who gets a
 * token counts: it is looked for, through the index. Nodes remember what is stored: what nothing refers to is marked first, and the version of
 * the registry moved, so that whoever needs it again stores it anew and takes the mark away; an hour later, when nothing that was under way can
 * refer to it any more, it goes.
 */
import type { Deps } from '../deps.ts';
import { touchRegistry } from '../liveness/liveness.ts';
import type { Database, Queries } from '../store/database.ts';
import { indexPosition } from './index-store.ts';
import { caughtUp } from './indexer.ts';
import {
  deleteOrphan,
  markOrphan,
  personalAfter,
  personalBehind,
  selectOrphans,
  termsInUse,
  unmarkOrphan,
} from './orphans-store.ts';
import { contentTerm } from './terms.ts';

/** How long what nothing refers to stays (ms). */
export const orphansStayMs = 3_600_000;

/** Contents that one round looks at, and that it marks or deletes in one transaction, which keeps others waiting. */
const lookedAt = 2_000;
const part = 200;

/** Up to which content this node has looked, in the order of their ids. */
const cursors = new WeakMap<Database, string>();

/** One round: deletes what has been marked for an hour, and marks what no event refers to among the next contents. */
export async function forgetOrphans(deps: Deps): Promise<void> {
  const now = deps.clock.now();
  const over = await selectOrphans(deps.db, now - orphansStayMs, part);
  const after = cursors.get(deps.db) ?? '';
  const ids = await personalAfter(deps.db, after, lookedAt);
  cursors.set(deps.db, ids.length < lookedAt ? '' : (ids.at(-1) as string));
  if (over.length === 0 && ids.length === 0) return;
  await caughtUp(deps);
  if (over.length > 0) {
    await deps.db.transaction(async (tx) => {
      const used = await inUse(tx, over);
      for (const id of over) {
        if (used.has(id)) await unmarkOrphan(tx, id);
        else await deleteOrphan(tx, id, now - orphansStayMs);
      }
    });
  }
  const used = await inUse(deps.db, ids);
  const unused = ids.filter((id) => !used.has(id)).slice(0, part);
  if (unused.length === 0) return;
  await deps.db.transaction(async (tx) => {
    const usedNow = await inUse(tx, unused);
    for (const id of unused) if (!usedNow.has(id)) await markOrphan(tx, id, now);
    await touchRegistry(tx);
  });
}

/** Which of these some event refers to; in `Database.transaction` none is missed, since nothing else is being written. */
async function inUse(q: Queries, ids: readonly string[]): Promise<Set<string>> {
  const tail = new Set(await personalBehind(q, await indexPosition(q)));
  const terms = await termsInUse(q, ids.map(contentTerm));
  return new Set(ids.filter((id) => tail.has(id) || terms.has(contentTerm(id))));
}
