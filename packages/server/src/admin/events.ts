import { z } from 'zod';
import { readEvents } from '../audit/audit.ts';
import { type EventType, eventTypes } from '../audit/event.ts';
import { findResource } from '../resources/store.ts';
import { cursorAfter } from '../web/paging.ts';
import { ownerId } from './agent.ts';
import { idOf, line, oneOf, shownTime, time } from './fields.ts';
import { read } from './route.ts';
import { listQuery, pageFilter, pageOfSchema } from './shapes.ts';

const types = Object.keys(eventTypes) as [EventType, ...EventType[]];

/** The leaf as it stands in the log, and beside it what of its commitments can still be opened. */
const shown = z.looseObject({
  id: idOf('event'),
  at: shownTime,
  type: z.string(),
  outcome: oneOf(['allowed', 'refused']),
  personal: z.record(z.string(), z.unknown()).meta({ description: 'What is personal, as far as it was not erased.' }),
  erased: z.boolean(),
});

export const eventRoutes = [
  read({
    id: 'listEvents',
    path: '/events',
    summary: 'Read the log, newest first',
    scopes: ['events:read'],
    query: listQuery({
      type: oneOf(types).optional(),
      outcome: oneOf(['allowed', 'refused']).optional(),
      agent: idOf('agent').optional().meta({ description: 'Whose doing it was.' }),
      about: line(64, 1).optional().meta({
        description: 'An id: of an agent for what it did and what was done to it, its credentials and instances.',
      }),
      target: line(64, 1).optional().meta({ description: 'What it was done to: an id.' }),
      owner: ownerId.optional().meta({ description: 'Who answers for the agent whose doing it was.' }),
      resource: line(512, 1).optional().meta({ description: 'Id or identifier of the resource that was asked for.' }),
      jti: line(200, 1).optional().meta({ description: 'The token that it was about.' }),
      since: time.optional().meta({ description: 'At this time or later.' }),
      until: time.optional().meta({ description: 'Before this time.' }),
    }),
    response: pageOfSchema(shown),
    async handler(call, { query }) {
      const page = pageFilter('event', query);
      const { type, outcome, agent, about, target, owner, jti } = query;
      // the log names resources by their identifier, as they were called at the time
      const resource = query.resource?.startsWith('res_')
        ? ((await findResource(call.q, query.resource))?.identifier ?? query.resource)
        : query.resource;
      const events = await readEvents(call.deps, {
        org: call.org.id,
        type,
        outcome,
        agent,
        about,
        target,
        owner,
        resource,
        jti,
        since: query.since === undefined ? undefined : Date.parse(query.since),
        until: query.until === undefined ? undefined : Date.parse(query.until),
        before: page.after,
        limit: page.limit,
      });
      const items = events.slice(0, page.shown).map(({ leaf, personal, erased }) => {
        const { v: _version, commitments: _commitments, ...open } = leaf;
        return { ...open, personal, erased } as z.output<typeof shown>;
      });
      const last = items.at(-1);
      return { items, ...(events.length > page.shown && last && { next_cursor: cursorAfter(last.id) }) };
    },
  }),
] as const;
