/** What people let agents do for them: given, seen, narrowed, stopped and ended by administrators. */
import { z } from 'zod';
import { findAgent } from '../agents/store.ts';
import { narrowSubject, setSubjectEnd } from '../liveness/liveness.ts';
import { narrowLedger, openLedger } from '../mandates/ledger.ts';
import type { Mandate } from '../mandates/mandate.ts';
import { shownMandate } from '../mandates/shown.ts';
import { registerMandate, resumeMandate } from '../mandates/standing.ts';
import { mandateStatuses } from '../mandates/state.ts';
import { insertMandate, mandateCalled, selectMandates, updateMandate } from '../mandates/store.ts';
import { toldMandate, toldPower } from '../mandates/told.ts';
import { rootOf, treeBelow } from '../mandates/tree.ts';
import { mandateBody, narrowable } from '../mandates/wanted.ts';
import { pageOf } from '../web/paging.ts';
import { conflict, notFound } from '../web/problem.ts';
import { idOf, line, oneOf } from './fields.ts';
import { foundMandate, hintsFor, ownerLimit, showAll, showOne, writtenMandate } from './mandate.ts';
import { narrowedMandate } from './narrowed-mandate.ts';
import { selectedReference } from './reach.ts';
import { revokedById } from './revoke.ts';
import { type Call, read, type WriteCall, write } from './route.ts';
import { byId, checkMatch, exampleId, listQuery, pageFilter, pageOfSchema, patchOf, stopBody } from './shapes.ts';

/** @throws Problem 404, the same for what isn't there and what the caller may not see */
async function seenMandate(call: Call, id: string) {
  const mandate = await foundMandate(call, id);
  const owner = await ownerLimit(call);
  if (owner === undefined || (await findAgent(call.q, mandate.agent))?.owner === owner) return mandate;
  throw notFound('mandate', id);
}

/** @throws Problem 409 */
function notOver({ endedAt, endsAt }: Mandate, now: number): void {
  if (endedAt !== undefined || endsAt <= now) throw conflict('mandate', 'has ended for good');
}

/** @throws Problem 409. Who writes is alone, so what is free stays so. */
async function mustBeFree({ tx, now }: WriteCall, { org, name }: Mandate): Promise<void> {
  const other = name === undefined ? undefined : await mandateCalled(tx, org, name, now);
  if (other) throw conflict('name', `is what mandate ${other.id} is called, until its time is up`);
}

/** Stops one by the road of every revocation, and shows it as it is then. @throws Problem 409 for one that is over */
async function stopped(call: WriteCall, id: string, wanted: { effect: 'suspend' | 'end'; reason: string }) {
  notOver(await foundMandate(call, id), call.now);
  const event = await revokedById(call, 'mandate', id, wanted);
  return { body: await showOne(call, await foundMandate(call, id)), event };
}

/** How many of a tree are shown at once. */
const nodesAtMost = 500;

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
      named: z
        .literal('true', { error: 'must be true' })
        .optional()
        .meta({ description: '`true`: only those that have a name.' }),
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
        named: query.named !== undefined,
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
      await mustBeFree(call, mandate);
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
  read({
    id: 'showMandateTree',
    path: '/mandates/{id}/tree',
    summary: 'Who passed what to whom',
    description:
      'The whole tree that a mandate stands in, as it stands now. Each node follows the one that it was passed on from.',
    scopes: ['mandates:read'],
    orScope: 'mandates:own',
    params: byId('mandate'),
    query: z.strictObject({
      below: z
        .enum(['true', 'false'], { error: 'must be true or false' })
        .optional()
        .meta({ description: '`true`: only this one and what was passed on of it. All that `mandates:own` shows.' }),
    }),
    response: z.strictObject({
      person: idOf('person'),
      mandates: z.array(shownMandate),
      more: z.boolean().meta({ description: `There are more than ${nodesAtMost}: look below one of them.` }),
    }),
    async handler(call, { params, query }) {
      const mandate = await seenMandate(call, params.id);
      const partly = query.below === 'true' || (await ownerLimit(call)) !== undefined;
      const top = partly ? mandate : await rootOf(call.q, mandate);
      const { mandates, more } = await treeBelow(call.q, top, nodesAtMost);
      return { person: mandate.person, mandates: await showAll(call, mandates), more };
    },
  }),
  write('PATCH', {
    id: 'narrowMandate',
    path: '/mandates/{id}',
    summary: 'Narrow a mandate',
    description:
      'Tokens of it and of what was passed on of it end, and new ones are within what is left. What would be more is refused: give a new mandate. What was spent stays spent.',
    scopes: ['mandates:write'],
    params: byId('mandate'),
    body: patchOf(narrowable),
    example: { limits: { uses: 5 }, passing: { depth: 0 }, expires_at: '2026-12-01T00:00:00Z' },
    response: shownMandate,
    async handler(call, { params, body }) {
      const { tx, now } = call;
      const before = await foundMandate(call, params.id);
      const shown = await showOne(call, before);
      checkMatch(call, shown);
      notOver(before, now);
      const after = await narrowedMandate(call, before, body);
      if (JSON.stringify(toldPower(after)) === JSON.stringify(toldPower(before))) return { body: shown };
      const { id, org, person } = after;
      await updateMandate(tx, after);
      await narrowLedger(tx, after);
      if (after.endsAt !== before.endsAt) await setSubjectEnd(tx, { id, endsAt: after.endsAt, now });
      const change = { id, reason: 'narrowed by an administrator', by: call.caller.agent, now };
      const rev = await narrowSubject(tx, change);
      const { changed, details } = toldPower(after);
      const event = {
        type: 'mandate.narrowed' as const,
        org,
        target: id,
        changed: { agent: after.agent, ...changed, rev },
        details,
        person,
      };
      return { body: await showOne(call, after), event };
    },
  }),
  write('POST', {
    id: 'pauseMandate',
    path: '/mandates/{id}/pause',
    summary: 'Stop a mandate until it is resumed',
    description: 'Its tokens, and those of what was passed on of it, end at once, for good.',
    scopes: ['mandates:write'],
    params: byId('mandate'),
    body: stopBody,
    example: { reason: 'on leave' },
    response: shownMandate,
    async handler(call, { params, body }) {
      const { id } = await foundMandate(call, params.id);
      return stopped(call, id, { effect: 'suspend', reason: body.reason || 'paused by an administrator' });
    },
  }),
  write('POST', {
    id: 'resumeMandate',
    path: '/mandates/{id}/resume',
    summary: 'Let a mandate be used again',
    description: 'Its earlier tokens stay dead.',
    scopes: ['mandates:write'],
    params: byId('mandate'),
    response: shownMandate,
    async handler(call, { params }) {
      const mandate = await foundMandate(call, params.id);
      notOver(mandate, call.now);
      const resumed = await resumeMandate(call.tx, mandate, call.now);
      const body = await showOne(call, mandate);
      const { id: target, org, agent, person } = mandate;
      return resumed
        ? { body, event: { type: 'mandate.resumed' as const, org, target, changed: { agent }, person } }
        : { body };
    },
  }),
  write('POST', {
    id: 'endMandate',
    path: '/mandates/{id}/end',
    summary: 'End a mandate for good',
    description: 'All that was passed on of it ends with it, and every token of any of these, at once.',
    scopes: ['mandates:write'],
    params: byId('mandate'),
    body: stopBody,
    example: { reason: 'the trip is over' },
    response: shownMandate,
    async handler(call, { params, body }) {
      const { id, endedAt } = await foundMandate(call, params.id);
      if (endedAt !== undefined) return { body: await showOne(call, await foundMandate(call, id)) };
      return stopped(call, id, { effect: 'end', reason: body.reason || 'ended by an administrator' });
    },
  }),
] as const;
