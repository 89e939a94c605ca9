/**
 * The index is behind the road: nobody who gets a token waits for it. Batches of events, by arrival, are put into it whenever somebody reads,
 * and in between by a job. One statement moves the position and so says which node a batch is of; what a crash leaves undone is done by the next.
 */
import { setImmediate } from 'node:timers/promises';
import { type OpenedEvent, openEvents } from '../audit/audit.ts';
import { eventsAfter } from '../audit/store.ts';
import type { Deps } from '../deps.ts';
import type { Database, Tx } from '../store/database.ts';
import type { EventRow } from '../store/tables.ts';
import { ownerOfTarget } from './concerned-store.ts';
import { openValues, personalValues } from './event-values.ts';
import { horizonOf } from './horizon.ts';
import { indexPosition, insertTerms, movePosition } from './index-store.ts';
import { openTerm, personalTerm, subjectTerm } from './terms.ts';

export type IndexDeps = Pick<Deps, 'db' | 'audit' | 'log' | 'clock'>;

/** Events in one batch: a few milliseconds in which the only writer of SQLite writes nothing else. */
const eventsInBatch = 200;
/** A backlog like this is told of: the first start after an upgrade. */
const tellFrom = 20_000;

interface Catching {
  /** Who asks from now on needs a run that has not begun. */
  next: Promise<number> | undefined;
  last: Promise<number>;
}

const catching = new WeakMap<Database, Catching>();

/**
 * Brings the index up to everything that is committed when it is called: whoever reads then finds what they have written. Many who ask at once
 * share one run.
 * @returns up to which arrival the index reaches
 */
export async function caughtUp(deps: IndexDeps): Promise<number> {
  const state = catching.get(deps.db) ?? { next: undefined, last: Promise.resolve(0) };
  catching.set(deps.db, state);
  if (!state.next) {
    const run = state.last
      .catch(() => 0)
      .then(() => {
        state.next = undefined;
        return catchUp(deps);
      });
    state.next = run;
    state.last = run;
  }
  return state.next;
}

async function catchUp(deps: IndexDeps): Promise<number> {
  const horizon = await horizonOf(deps);
  let position = await indexPosition(deps.db);
  const backlog = horizon - position;
  const begun = deps.clock.monotonic();
  let told = begun;
  while (position < horizon) {
    position = await indexBatch(deps, position, horizon);
    await setImmediate(); // who waits for a token goes first
    const now = deps.clock.monotonic();
    if (backlog < tellFrom || (now - told < 2_000 && position < horizon)) continue;
    told = now;
    const done = Math.floor((100 * (backlog - (horizon - position))) / backlog);
    deps.log.info({ done, of: backlog }, `putting ${backlog} events into the index of the log: ${done} %`);
  }
  return position;
}

/** Answers how far the index reaches after it, whoever has done it. */
async function indexBatch({ db, audit }: IndexDeps, from: number, horizon: number): Promise<number> {
  const rows = await eventsAfter(db, from, horizon, eventsInBatch);
  const to = rows.length < eventsInBatch ? horizon : (rows.at(-1) as EventRow).arrival;
  return db.settle(async (tx) => {
    if (!(await movePosition(tx, from, to))) return indexPosition(tx);
    await insertRows(tx, audit.indexKey, rows);
    return to;
  });
}

/**
 * Puts these events into the index. What is personal is read inside the transaction: of whom was erased before, nothing comes back.
 */
export async function insertRows(tx: Tx, key: Buffer, rows: readonly EventRow[]): Promise<void> {
  const open: [number, number][] = [];
  const personal: [number, number, number][] = [];
  const owners = new Map<string, string | undefined>();
  for (const event of await openEvents(tx, rows)) {
    const { target, agent } = event.leaf as { target?: string; agent?: string };
    // what was done to somebody's agents is theirs to see, whoever did it
    if (target !== undefined && target !== agent && !owners.has(target))
      owners.set(target, await ownerOfTarget(tx, target));
    const terms = termsOf(key, event, owners.get(target ?? ''));
    for (const term of terms.open) open.push([term, event.arrival]);
    for (const [term, subject] of terms.personal) personal.push([term, event.arrival, subject]);
  }
  await insertTerms(tx, 'event_terms', open.sort(byTerm).flat());
  await insertTerms(tx, 'personal_terms', personal.sort(byTerm).flat());
}

const byTerm = (a: readonly number[], b: readonly number[]) =>
  (a[0] as number) - (b[0] as number) || (a[1] as number) - (b[1] as number);

/**
 * Under what an event is found, each once; what is personal with the subject with whom it goes.
 * @param concerned who answers for what it was done to
 */
export function termsOf(
  key: Buffer,
  { leaf, personal, sealedUnder = '' }: Pick<OpenedEvent, 'leaf' | 'personal' | 'sealedUnder'>,
  concerned?: string,
): { open: Set<number>; personal: Map<number, number> } {
  const org = leaf.org as string;
  const open = new Set(openValues(leaf).map(([kind, value]) => openTerm(org, kind, value)));
  const closed = new Map<number, number>();
  for (const [kind, value] of personalValues(personal)) {
    closed.set(personalTerm(key, org, kind, value), subjectTerm(key, kind === 'address' ? sealedUnder : value));
  }
  if (concerned !== undefined) closed.set(personalTerm(key, org, 'concerned', concerned), subjectTerm(key, concerned));
  return { open, personal: closed };
}
