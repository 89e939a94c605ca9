import type { Database } from '../store/database.ts';
import type { EventRow } from '../store/tables.ts';
import { horizonOf } from './horizon.ts';
import { selectArrived, type Wanted } from './store.ts';

/** An event as it lies in the log. `leaf` is its canonical JSON; `personal` leads to what is personal in it, as long as that is there. */
export type StoredEvent = EventRow;

export interface ReadOn extends Wanted {
  /** The position that the last call answered; 0 for the beginning. */
  after: number;
  /** At most so many events. */
  limit: number;
}

export interface ReadOnAnswer {
  events: StoredEvent[];
  /** Read on from here: everything up to it was seen, whether it was wanted or not. */
  position: number;
  /** There is more behind `position` by now. */
  more: boolean;
}

/** How many arrivals are looked through in one call when few of them are wanted. */
const lookedThrough = 20_000;

/**
 * The next events in the order of their arrival. Whoever goes from position to position gets each event that is wanted exactly once, those
 * that were committed late included.
 */
export async function readOn(deps: { db: Database }, { after, limit, ...wanted }: ReadOn): Promise<ReadOnAnswer> {
  const horizon = await horizonOf(deps);
  if (horizon <= after) return { events: [], position: after, more: false };
  const upTo = Math.min(horizon, after + lookedThrough);
  const events = await selectArrived(deps.db, { after, upTo, limit }, wanted);
  const position = events.length < limit ? upTo : (events.at(-1) as StoredEvent).arrival;
  return { events, position, more: position < horizon };
}
