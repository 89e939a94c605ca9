import type { Database } from '../store/database.ts';
import { greatestArrival } from './store.ts';

interface Known {
  /** The last answer: it only grows. */
  horizon: number;
  /** A question that has not been put to the database yet: whoever asks now may have its answer. */
  asking: Promise<number> | undefined;
}

const known = new WeakMap<Database, Known>();

/**
 * An arrival up to which the log is complete: what is committed later has a greater one. Whoever asks after a commit gets a number that
 * covers it. On PostgreSQL numbers are given before they are committed; all appenders hold the liveness lock shared, so whoever
 * has it alone sees none between the two. Many who ask at once share one such moment, and if no number was given since the
 * last answer, that answer holds without it.
 */
export async function horizonOf({ db }: { db: Database }): Promise<number> {
  const head = await greatestArrival(db);
  if (db.dialect === 'sqlite') return head; // one writer: numbers are given in the order of commits
  const state = known.get(db) ?? { horizon: 0, asking: undefined };
  known.set(db, state);
  if (head <= state.horizon) return state.horizon;
  state.asking ??= askedAlone(db, state);
  return state.asking;
}

async function askedAlone(db: Database, state: Known): Promise<number> {
  try {
    const horizon = await db.transaction(async (tx) => {
      state.asking = undefined; // who asks from now on may have committed what this one doesn't see
      return greatestArrival(tx);
    });
    state.horizon = Math.max(state.horizon, horizon);
    return horizon;
  } catch (error) {
    state.asking = undefined;
    throw error;
  }
}
