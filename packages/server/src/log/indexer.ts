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
import { mayBeTurn } from './acts.ts';
import { ownerOfTarget } from './concerned-store.ts';
import { openValues, personalValues } from './event-values.ts';
import { horizonOf } from './horizon.ts';
import { indexPosition, insertTerms, movePosition } from './index-store.ts';
import { contentTerm, openTerm, type PersonalKind, personalTerm, subjectTerm } from './terms.ts';

export type IndexDeps = Pick<Deps, 'db' | 'audit' | 'log' | 'clock'>;

/** Events in one batch: the more are sorted together, the fewer pages of the index are touched for each. */
const eventsInBatch = 4_000;
/** What of a batch is written at once: a few milliseconds in which the only writer of SQLite writes nothing else. */
const entriesAtOnce = 2_048;
const eventsAtOnce = 100;
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

/**
 * Answers how far the index reaches after it, whoever has done it. Entries are written in parts, and the position moves with the last: what was
 * written before a crash, or by another node meanwhile, is written again and stays as it is.
 */
async function indexBatch({ db, audit }: IndexDeps, from: number, horizon: number): Promise<number> {
  const rows = await eventsAfter(db, from, horizon, eventsInBatch);
  const to = rows.length < eventsInBatch ? horizon : (rows.at(-1) as EventRow).arrival;
  const open = openEntries(rows);
  const rest = open.splice(-entriesAtOnce);
  const late = rows.splice(-eventsAtOnce);
  const isTaken = async () => (await indexPosition(db)) !== from;
  for (let i = 0; i < open.length; i += entriesAtOnce) {
    await db.settle((tx) => insertTerms(tx, 'event_terms', open.slice(i, i + entriesAtOnce).flat()));
    await setImmediate(); // who waits for a token goes first
    if (await isTaken()) return indexPosition(db);
  }
  for (let i = 0; i < rows.length; i += eventsAtOnce) {
    await db.settle((tx) => insertPersonal(tx, audit.indexKey, rows.slice(i, i + eventsAtOnce)));
    await setImmediate();
    if (await isTaken()) return indexPosition(db);
  }
  return db.settle(async (tx) => {
    if (!(await movePosition(tx, from, to))) return indexPosition(tx);
    await insertTerms(tx, 'event_terms', rest.flat());
    await insertPersonal(tx, audit.indexKey, late);
    return to;
  });
}

/** What stands in the open, in the order of the table. */
function openEntries(rows: readonly EventRow[]): [term: number, arrival: number][] {
  const entries: [number, number][] = [];
  for (const { leaf: text, personal, arrival } of rows) {
    if (personal !== null) entries.push([contentTerm(personal), arrival]);
    const leaf = JSON.parse(text) as Record<string, unknown>;
    for (const term of openTermsOf(leaf)) entries.push([term, arrival]);
  }
  return entries.sort(byTerm);
}

/**
 * Puts what is personal of these events into the index. It is read inside the transaction: of whom was erased before, nothing comes back.
 */
async function insertPersonal(tx: Tx, key: Buffer, rows: readonly EventRow[]): Promise<void> {
  const entries: [term: number, arrival: number, subject: number][] = [];
  const owners = new Map<string, string | undefined>();
  for (const event of await openEvents(tx, rows)) {
    const { target, agent } = event.leaf as { target?: string; agent?: string };
    // what was done to somebody's agents is theirs to see, whoever did it
    if (target !== undefined && target !== agent && !owners.has(target))
      owners.set(target, await ownerOfTarget(tx, target));
    const terms = personalTermsOf(key, event, owners.get(target ?? ''));
    for (const [term, subject] of terms) entries.push([term, event.arrival, subject]);
  }
  await insertTerms(tx, 'personal_terms', entries.sort(byTerm).flat());
}

const byTerm = (a: readonly number[], b: readonly number[]) =>
  (a[0] as number) - (b[0] as number) || (a[1] as number) - (b[1] as number);

/**
 * Under what an event is found, each once; what is personal with the subject with whom it goes.
 * @param concerned who answers for what it was done to
 */
export function termsOf(
  key: Buffer,
  event: Pick<OpenedEvent, 'leaf' | 'personal' | 'sealedUnder'>,
  concerned?: string,
): { open: Set<number>; personal: Map<number, number> } {
  return { open: openTermsOf(event.leaf), personal: personalTermsOf(key, event, concerned) };
}

function openTermsOf(leaf: Readonly<Record<string, unknown>>): Set<number> {
  const org = leaf.org as string;
  return new Set(openValues(leaf).map(([kind, value]) => openTerm(org, kind, value)));
}

function personalTermsOf(
  key: Buffer,
  { leaf, personal, sealedUnder = '' }: Pick<OpenedEvent, 'leaf' | 'personal' | 'sealedUnder'>,
  concerned: string | undefined,
): Map<number, number> {
  const org = leaf.org as string;
  const closed = new Map<number, number>();
  for (const [kind, value] of personalValues(personal)) {
    closed.set(personalTerm(key, org, kind, value), subjectTerm(key, kind === 'address' ? sealedUnder : value));
  }
  const add = (kind: PersonalKind, whose: string) =>
    closed.set(personalTerm(key, org, kind, whose), subjectTerm(key, whose));
  if (concerned !== undefined) add('concerned', concerned);
  for (const whose of mayBeTurn(leaf.type) ? [personal.owner, concerned] : []) {
    if (typeof whose === 'string' && whose !== '') add('turns', whose);
  }
  return closed;
}
