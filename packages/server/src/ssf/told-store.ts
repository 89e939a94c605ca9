import { idAt } from '../lib/ids.ts';
import type { StoredEvent } from '../log/read-on.ts';
import type { Queries } from '../store/database.ts';
import { toldTypes } from './tell.ts';

/** More of one organization in a second than this are not looked through. */
const most = 1000;

/** What an organization's streams were told of that happened in this second (seconds since the epoch): ids are in the order of time. */
export async function toldWithin(q: Queries, org: string, second: number): Promise<StoredEvent[]> {
  return q.kysely
    .selectFrom('events')
    .selectAll()
    .where('id', '>=', idAt('event', second * 1000))
    .where('id', '<', idAt('event', (second + 1) * 1000))
    .where('org', '=', org)
    .where('type', 'in', [...toldTypes])
    .where('outcome', '=', 'allowed')
    .limit(most)
    .execute();
}
