import { z } from 'zod';
import type { ReadEvent } from '../audit/audit.ts';
import { type EventFilter, searchEvents } from '../log/search.ts';
import { pageLimits } from '../web/paging.ts';
import { openPosition, sealPosition } from '../web/position-cursor.ts';
import { eventFilters, filterOf } from './event-query.ts';
import { idOf, oneOf, shownTime } from './fields.ts';
import { read } from './route.ts';
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
    response: pageOfSchema(shownEventSchema),
    async handler(call, { query: { limit = pageLimits.default, cursor, order, ...query } }) {
      const filter = await filterOf(call, query);
      const about = ['events', order, filter];
      const after = openPosition(call.deps, about, cursor);
      const { events, next } = await searchEvents(call.deps, filter, { order, limit, after });
      return {
        items: events.map((event) => shownEvent(event, filter)),
        ...(next !== undefined && { next_cursor: sealPosition(call.deps, about, next) }),
      };
    },
  }),
] as const;
