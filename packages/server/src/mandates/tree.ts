/** Who passed what to whom. */
import type { Queries } from '../store/database.ts';
import type { Mandate } from './mandate.ts';
import { findMandate, mandatesBelow } from './store.ts';

export interface MandateTree {
  /** Each right after the one that it was passed on from, or after what else was passed on from that. */
  mandates: readonly Mandate[];
  /** There are more than were wanted. */
  more: boolean;
}

/** The one at the root of the tree that this stands in. */
export async function rootOf(q: Queries, mandate: Mandate): Promise<Mandate> {
  const root = mandate.ancestors.at(-1);
  return (root !== undefined && (await findMandate(q, root))) || mandate;
}

/** A mandate and all that was passed on of it, the upper levels first to be counted. */
export async function treeBelow(q: Queries, top: Mandate, atMost: number): Promise<MandateTree> {
  const all = [top];
  for (let level = [top]; level.length > 0 && all.length <= atMost; ) {
    level = await mandatesBelow(
      q,
      level.map(({ id }) => id),
      atMost + 1 - all.length,
    );
    all.push(...level);
  }
  const shown = all.slice(0, atMost);
  const below = Map.groupBy(shown, ({ parent }) => parent);
  const ordered = (one: Mandate): Mandate[] => [one, ...(below.get(one.id) ?? []).flatMap(ordered)];
  return { mandates: ordered(top), more: all.length > atMost };
}
