import { z } from 'zod';
import { agentNames } from '../agents/store.ts';
import type { ReadEvent } from '../audit/audit.ts';
import { type EventFilter, searchEvents } from '../log/search.ts';
import { pageLimits } from '../web/paging.ts';
import { openPosition, sealPosition } from '../web/position-cursor.ts';
import { eventFilters, filterOf } from './event-query.ts';
import { idOf, oneOf, shownTime } from './fields.ts';
import { type Call, read } from './route.ts';
import { listQuery, pageOfSchema } from './shapes.ts';

/** The leaf as it stands in the log, and beside it what of its commitments can still be opened. */
export const shownEventSchema = z.looseObject({
  id: idOf('event'),
  at: shownTime,
  type: z.string(),
  outcome: oneOf(['allowed', 'refused']),
  personal: z.record(z.string(), z.unknown()).meta({
    description: 'What is personal, as far as it was not erased, and as far as the caller may see it.',
  }),
  erased: z.boolean(),
});

export type ShownEvent = z.output<typeof shownEventSchema>;

/** As the API shows an event to somebody who may see `reach`: what is personal of others' stays theirs. */
export function shownEvent(
  { leaf, personal, erased }: ReadEvent,
  { ownedBy }: Pick<EventFilter, 'ownedBy'>,
): ShownEvent {
  const { v: _version, commitments: _commitments, ...open } = leaf;
  const theirs = ownedBy === undefined || personal.owner === ownedBy;
  return { ...open, personal: theirs ? personal : {}, erased } as ShownEvent;
}

export const agentNamesSchema = z
  .record(z.string(), z.string())
  .meta({ description: 'What the agents that are named there are called.' });

/** What the agents are called that these events name: the first 200. */
export function namesOfAgents(call: Call, events: readonly Pick<ReadEvent, 'leaf'>[], more: readonly string[] = []) {
  const ids = new Set(more);
  for (const { leaf } of events) {
    for (const [id] of JSON.stringify(leaf).matchAll(/\bagt_[0-9a-hjkmnp-tv-z]{26}\b/g)) ids.add(id);
  }
  return agentNames(call.q, call.org.id, [...ids].slice(0, 200));
}

export const eventRoutes = [
  read({
    id: 'listEvents',
    path: '/events',
    summary: 'Read the log, newest first',
    description:
      'With `events:own` instead of `events:read`: what concerns the agents that the caller’s own owner answers for. A page may be short, or empty, and ' +
      'still have a `next_cursor`: how much is looked through for one page is bounded. A cursor is for the same question by the same caller’s reach.',
    scopes: ['events:read'],
    orScope: 'events:own',
    query: listQuery({
      ...eventFilters,
      order: oneOf(['newest', 'oldest']).default('newest').meta({ description: 'What comes first.' }),
    }),
    response: pageOfSchema(shownEventSchema).extend({ names: agentNamesSchema }),
    async handler(call, { query: { limit = pageLimits.default, cursor, order, ...query } }) {
      const filter = await filterOf(call, query);
      const about = ['events', order, filter];
      const after = openPosition(call.deps, about, cursor);
      const { events, next } = await searchEvents(call.deps, filter, { order, limit, after });
      return {
        items: events.map((event) => shownEvent(event, filter)),
        names: Object.fromEntries(await namesOfAgents(call, events)),
        ...(next !== undefined && { next_cursor: sealPosition(call.deps, about, next) }),
      };
    },
  }),
] as const;
