/** What people let agents do for them: given, seen, narrowed, stopped and ended by administrators. */
import { z } from 'zod';
import { findAgent } from '../agents/store.ts';
import { openLedger } from '../mandates/ledger.ts';
import { shownMandate } from '../mandates/shown.ts';
import { registerMandate } from '../mandates/standing.ts';
import { mandateStatuses } from '../mandates/state.ts';
import { insertMandate, selectMandates } from '../mandates/store.ts';
import { toldMandate } from '../mandates/told.ts';
import { mandateBody } from '../mandates/wanted.ts';
import { pageOf } from '../web/paging.ts';
import { notFound } from '../web/problem.ts';
import { idOf, line, oneOf } from './fields.ts';
import { foundMandate, hintsFor, showAll, showOne, writtenMandate } from './mandate.ts';
import { selectedReference } from './reach.ts';
import { type Call, read, write } from './route.ts';
import { byId, exampleId, listQuery, pageFilter, pageOfSchema } from './shapes.ts';

/** Whose agents' mandates the caller may see, if that is all; undefined for who may see all. */
async function ownerLimit(call: Call): Promise<string | undefined> {
  if (call.caller.scopes.includes('mandates:read')) return undefined;
  return (await findAgent(call.q, call.caller.agent))?.owner ?? 'nobody';
}

/** @throws Problem 404, the same for what isn't there and what the caller may not see */
async function seenMandate(call: Call, id: string) {
  const mandate = await foundMandate(call, id);
  const owner = await ownerLimit(call);
  if (owner === undefined || (await findAgent(call.q, mandate.agent))?.owner === owner) return mandate;
  throw notFound('mandate', id);
}

export const mandateRoutes = [
  read({
    id: 'listMandates',
    path: '/mandates',
    summary: 'List mandates',
    description: 'Those that ended are listed for a while (`instances.keep_ended_seconds`).',
    scopes: ['mandates:read'],
    orScope: 'mandates:own',
    query: listQuery({
      person: idOf('person').optional().meta({ description: 'For whom.' }),
      agent: idOf('agent').optional().meta({ description: 'Who may act.' }),
      parent: idOf('mandate').optional().meta({ description: 'Only what was passed on from this one.' }),
      resource: line(512, 1).optional().meta({ description: 'Id or identifier of a resource that it is about.' }),
      status: oneOf(mandateStatuses).optional(),
    }),
    response: pageOfSchema(shownMandate),
    async handler(call, { query }) {
      const { shown: most, ...page } = pageFilter('mandate', query);
      const { person, agent, parent, status } = query;
      const resource = await selectedReference(call, query.resource);
      const mandates = await selectMandates(call.q, {
        ...{ org: call.org.id, person, agent, parent, resource, now: call.now, ...page },
        owner: await ownerLimit(call),
        status: status === 'stopped' ? 'active' : status,
      });
      const shown = new Map((await showAll(call, mandates)).map((each) => [each.id, each]));
      const { items, ...rest } = pageOf(mandates, most, ({ id }) => shown.get(id) as z.output<typeof shownMandate>);
      // only a look at everything that it rests on tells what is stopped
      return { items: status === undefined ? items : items.filter((item) => item.status === status), ...rest };
    },
  }),
  write('POST', {
    id: 'giveMandate',
    path: '/mandates',
    summary: 'Let an agent act for a person',
    description:
      'For what a person agreed to elsewhere, or an organization decides for its people. `hints` says what no role of the agent gives: roles bound every token.',
    scopes: ['mandates:write'],
    status: 201,
    body: mandateBody,
    example: {
      person: exampleId('person'),
      agent: exampleId('agent'),
      resources: [{ resource: 'https://travel.example.com/api', scope: 'trips:book' }],
      limits: { uses: 20 },
      passing: { depth: 1 },
      expires_in: 604_800,
    },
    response: shownMandate.extend({ hints: z.array(z.string()).optional() }),
    async handler(call, { body }) {
      const { tx } = call;
      const mandate = await writtenMandate(call, body);
      await insertMandate(tx, mandate);
      await openLedger(tx, mandate);
      await registerMandate(tx, mandate);
      const hints = await hintsFor(call, mandate);
      const { id: target, org } = mandate;
      const event = { type: 'mandate.given' as const, org, target, ...toldMandate(mandate), unremembered: true };
      return { body: { ...(await showOne(call, mandate)), ...(hints.length > 0 && { hints }) }, event };
    },
  }),
  read({
    id: 'getMandate',
    path: '/mandates/{id}',
    summary: 'Show a mandate',
    scopes: ['mandates:read'],
    orScope: 'mandates:own',
    params: byId('mandate'),
    response: shownMandate,
    handler: async (call, { params }) => showOne(call, await seenMandate(call, params.id)),
  }),
] as const;
