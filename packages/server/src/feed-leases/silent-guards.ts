/** Guards of which an acknowledgement says nothing: what is said of them is as of when it was written down. */

import { seenLatelyMs } from './holds.ts';
import type { Feed } from './state.ts';
import { activeGuards } from './store.ts';

export interface Silent {
  unknown: string[];
  unguarded?: true;
}

/** Which guards of a resource neither had to answer (`answered`) nor were seen here lately, and whether it has none at all. */
export async function silentGuards(feed: Feed, resource: string, answered: readonly string[]): Promise<Silent> {
  const registered = await activeGuards(feed.deps.db, resource);
  const since = feed.deps.clock.monotonic() - seenLatelyMs;
  const isKnown = (id: string) => answered.includes(id) || (feed.lastSeen.get(id) ?? Number.NEGATIVE_INFINITY) > since;
  return {
    unknown: registered.filter((id) => !isKnown(id)),
    ...(registered.length === 0 && { unguarded: true as const }),
  };
}
