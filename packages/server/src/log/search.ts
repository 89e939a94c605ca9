/**
 * Searching the log: what fits is found under the sparsest of what was asked for, looked at under all the others, and held against the real
 * values. A page costs a bounded amount of work, however large the log is: it may be short, or even empty, and still say where to go on.
 *
 * Whoever may see the events of one owner alone searches along that owner's own entries and no others: how long it takes says nothing of
 * events that they may not see.
 */
import { type OpenedEvent, openEvents } from '../audit/audit.ts';
import { eventsAt, findEvent } from '../audit/store.ts';
import type { Queries } from '../store/database.ts';
import { ownerOfTarget } from './concerned-store.ts';
import { type EventFilter, fits, type Group, groupsOf, termsOfGroup } from './filter.ts';
import { caughtUp, type IndexDeps } from './indexer.ts';
import { density, firstIn, lookThrough, type Order, type Places, type Stretch } from './search-store.ts';
import { personalKinds } from './terms.ts';
import { withinTimes } from './time-bounds.ts';

export type { EventFilter } from './filter.ts';
export type { Order } from './search-store.ts';

export interface Wanted {
  order: Order;
  limit: number;
  /** The position that the page before answered. */
  after?: number | undefined;
}

export interface Found {
  events: OpenedEvent[];
  /** Where the next page goes on; absent at the end. Not to be shown: it counts everybody's events. */
  next?: number;
  /** Up to where the log was searched. */
  upTo: number;
}

/** Entries of the index that one page may look at; a row of the log that is opened costs as much as some of them. */
const looksAtMost = 3_000;
const looksOfRow = 6;
const firstLooks = 128;
const mostLooks = 1_024;
/** How many entries say how dense they lie. */
const sample = 256;

/** A page of events that fit, in the order of their arrival. Everything that was committed before is seen. */
export async function searchEvents(deps: IndexDeps, filter: EventFilter, wanted: Wanted): Promise<Found> {
  const { db, audit } = deps;
  const upTo = await caughtUp(deps);
  const groups = groupsOf(filter);
  const places = groups.map((group) => ({
    ...termsOfGroup(audit.indexKey, filter.org, group),
    eventId: group.eventId,
  }));
  const scoped = filter.ownedBy !== undefined;
  const { order, limit, after } = wanted;
  const whole =
    order === 'newest'
      ? { from: 1, to: Math.min(upTo, (after ?? upTo + 1) - 1) }
      : { from: (after ?? 0) + 1, to: upTo };
  let stretch = await withinTimes(db, whole, filter);
  const index = scoped ? 0 : await sparsest(db, places, stretch, order);
  const driver = places[index] as Places;
  // what is personal of others is not looked for on behalf of an owner: how much work that is would tell of it
  const others = places.filter((_, at) => at !== index && !(scoped && isPersonal(groups[at] as Group)));

  const found: OpenedEvent[] = [];
  let looks = looksAtMost;
  let step = firstLooks;
  while (stretch.from <= stretch.to) {
    if (looks <= 0) return { events: found, next: before(stretch, order), upTo };
    const skipped = scoped ? stretch : await skip(db, others, stretch, order);
    if (!skipped) break;
    stretch = skipped;
    const rows = await lookThrough(db, driver, others, stretch, order, step);
    looks -= rows.length * places.length + 1;
    const hits = rows.flatMap(({ arrival, found: hit }) => (hit ? [arrival] : []));
    while (hits.length > 0 && found.length <= limit) {
      const some = hits.splice(0, limit + 1 - found.length);
      looks -= looksOfRow * some.length;
      for (const event of await opened(db, some, order)) {
        if (fits(filter, groups, event, await concernedBy(db, filter, event))) found.push(event);
      }
    }
    if (found.length > limit) {
      found.length = limit;
      return { events: found, next: (found.at(-1) as OpenedEvent).arrival, upTo };
    }
    const last = rows.at(-1);
    if (!last || rows.length < step) break;
    stretch = behind(stretch, last.arrival, order);
    step = Math.min(2 * step, mostLooks);
  }
  return { events: found, upTo };
}

const isPersonal = ({ values }: Group) => values.every(([kind]) => (personalKinds as readonly string[]).includes(kind));

/** One event by its id, if it belongs to this organization (and owner). It is found whether it is in the index or not. */
export async function eventOf(
  { db }: Pick<IndexDeps, 'db'>,
  { org, ownedBy }: Pick<EventFilter, 'org' | 'ownedBy'>,
  id: string,
): Promise<OpenedEvent | undefined> {
  const row = await findEvent(db, id);
  if (row?.org !== org) return undefined;
  const [event] = await openEvents(db, [row]);
  if (!event || ownedBy === undefined || event.personal.owner === ownedBy) return event;
  return (await concernedBy(db, { ownedBy }, event)) === ownedBy ? event : undefined;
}

/** Who answers by now for what an event was done to; asked only where it matters. */
async function concernedBy(
  q: Queries,
  { ownedBy }: Pick<EventFilter, 'ownedBy'>,
  { leaf, personal }: OpenedEvent,
): Promise<string | undefined> {
  if (ownedBy === undefined || personal.owner === ownedBy || typeof leaf.target !== 'string') return undefined;
  return ownerOfTarget(q, leaf.target);
}

async function opened(db: Queries, arrivals: readonly number[], order: Order): Promise<OpenedEvent[]> {
  const rows = await eventsAt(db, arrivals);
  rows.sort((a, b) => (order === 'newest' ? b.arrival - a.arrival : a.arrival - b.arrival));
  return openEvents(db, rows);
}

/** Which of them has the fewest entries, as far as a sample says. */
async function sparsest(q: Queries, places: readonly Places[], stretch: Stretch, order: Order): Promise<number> {
  if (places.length === 1) return 0;
  let best = { index: 0, entries: Number.POSITIVE_INFINITY };
  for (const [index, each] of places.entries()) {
    const { count, last } = await density(q, each, stretch, order, sample);
    const reach = last === undefined ? 1 : order === 'newest' ? stretch.to - last + 1 : last - stretch.from + 1;
    const entries = count < sample ? count : Math.max(count, (count * (stretch.to - stretch.from + 1)) / reach);
    if (entries < best.entries) best = { index, entries };
    if (entries === 0) break;
  }
  return best.index;
}

/** What is left of a stretch if one begins where each of the others has something; undefined if one of them has nothing more. */
async function skip(
  q: Queries,
  others: readonly Places[],
  stretch: Stretch,
  order: Order,
): Promise<Stretch | undefined> {
  let { from, to } = stretch;
  for (const each of others) {
    const first = await firstIn(q, each, { from, to }, order);
    if (first === undefined) return undefined;
    if (order === 'newest') to = first;
    else from = first;
  }
  return { from, to };
}

const behind = ({ from, to }: Stretch, arrival: number, order: Order): Stretch =>
  order === 'newest' ? { from, to: arrival - 1 } : { from: arrival + 1, to };

/** The position at which the next page finds itself at the beginning of this stretch. */
const before = ({ from, to }: Stretch, order: Order): number => (order === 'newest' ? to + 1 : from - 1);
