/** Instances as administrators see and end them. They are enrolled elsewhere (`enrol/`), by whoever has the right. */
import { z } from 'zod';
import { provenances } from '../agents/instance.ts';
import { endInstance } from '../agents/instance-end.ts';
import { type ListedInstance, selectInstances } from '../agents/instance-store.ts';
import { findAgent } from '../agents/store.ts';
import { rfc3339 } from '../lib/clock.ts';
import { pageOf } from '../web/paging.ts';
import { invalid } from '../web/problem.ts';
import { idOf, line, oneOf, record, shownTime } from './fields.ts';
import { reaches, within } from './reach.ts';
import { revokedById } from './revoke.ts';
import { type Call, read, write } from './route.ts';
import { byId, common, exampleId, listQuery, pageFilter, pageOfSchema } from './shapes.ts';

/** How many a request ends: one transaction, in which nobody else writes. */
const endedAtOnce = 1000;

const shown = z.strictObject({
  ...common('instance'),
  agent: idOf('agent'),
  parent: idOf('instance').optional().meta({ description: 'The instance whose child it is.' }),
  name: z.string().optional().meta({ description: 'What its parent calls it.' }),
  subject: z.string().meta({ description: 'Its SPIFFE ID, the `sub` of its tokens.' }),
  credential: idOf('credential').meta({ description: 'What it was enrolled with: when that is removed, it ends.' }),
  thumbprint: z.string().meta({ description: 'RFC 7638, of its key.' }),
  alg: oneOf(['ES256', 'EdDSA', 'PS256', 'RS256']),
  attributes: z.record(z.string(), z.strictObject({ value: z.string(), provenance: oneOf(provenances) })),
  allowed: z
    .array(z.strictObject({ resource: idOf('resource'), scope: z.array(z.string()) }))
    .optional()
    .meta({ description: 'What a child may ask tokens for at most; without: whatever its agent may.' }),
  status: oneOf(['active', 'ended']),
  renewed_at: shownTime,
  expires_at: shownTime.meta({ description: 'When it ends unless it renews, or when it ended.' }),
});

const show = (instance: ListedInstance): z.output<typeof shown> => ({
  id: instance.id,
  organization: instance.org,
  agent: instance.agent,
  ...(instance.parent !== undefined && { parent: instance.parent }),
  ...(instance.name !== undefined && { name: instance.name }),
  subject: instance.spiffeId,
  credential: instance.credential,
  thumbprint: instance.thumbprint,
  alg: instance.alg,
  attributes: { ...instance.attributes },
  ...(instance.allowed && {
    allowed: instance.allowed.map(({ resource, scope }) => ({ resource, scope: [...scope] })),
  }),
  status: instance.status,
  created_at: rfc3339(instance.createdAt),
  renewed_at: rfc3339(instance.renewedAt),
  expires_at: rfc3339(instance.expiresAt),
});

async function found(call: Call, id: string): Promise<ListedInstance> {
  const [instance] = await selectInstances(call.q, { id, now: call.now, limit: 1 });
  return within(call, 'instance', id, instance);
}

const reason = line(500).default('').meta({ description: 'Why, for the log. Leave names of people out.' });

export const instanceRoutes = [
  read({
    id: 'listInstances',
    path: '/instances',
    summary: 'List instances: running copies of agents',
    description: 'Those that ended are listed for a while (`instances.keep_ended_seconds`).',
    scopes: ['instances:read'],
    query: listQuery({
      agent: idOf('agent').optional(),
      parent: idOf('instance').optional().meta({ description: 'Only the children of this one.' }),
      status: oneOf(['active', 'ended']).optional(),
    }),
    response: pageOfSchema(shown),
    async handler(call, { query }) {
      const page = pageFilter('instance', query);
      const { agent, parent, status } = query;
      const filter = { org: call.org.id, agent, parent, status, now: call.now, ...page };
      return pageOf(await selectInstances(call.q, filter), page.shown, show);
    },
  }),
  write('POST', {
    id: 'endInstances',
    path: '/instances/end',
    summary: 'End all instances of an agent',
    description: `At most ${endedAtOnce} in one request: ask again while \`more\` is true. New ones can enrol meanwhile, unless the agent is suspended; suspending it ends all of its instances too.`,
    scopes: ['instances:write'],
    status: 200,
    body: record({ agent: idOf('agent'), reason }),
    example: { agent: exampleId('agent'), reason: 'a bad release' },
    response: z.strictObject({
      ended: z.number().meta({ description: 'How many, children included.' }),
      more: z.boolean(),
    }),
    async handler(call, { body }) {
      const { tx, now } = call;
      const agent = await findAgent(tx, body.agent);
      if (!(agent && reaches(call.caller, agent.org)))
        throw invalid('agent', 'must be the id of an agent within your reach');
      const living = await selectInstances(tx, { agent: agent.id, status: 'active', now, limit: endedAtOnce + 1 });
      const change = { reason: body.reason || 'ended by an administrator', by: call.caller.agent, now };
      const ended: string[] = [];
      for (const one of living.slice(0, endedAtOnce)) {
        if (!ended.includes(one.id)) ended.push(...(await endInstance(tx, one, change)));
      }
      const answer = { ended: ended.length, more: living.length > endedAtOnce };
      if (ended.length === 0) return { body: answer };
      return {
        body: answer,
        event: {
          type: 'instance.ended',
          org: agent.org,
          target: agent.id,
          changed: { instances: ended },
          details: { reason: change.reason },
        },
      };
    },
  }),
  read({
    id: 'getInstance',
    path: '/instances/{id}',
    summary: 'Show an instance',
    scopes: ['instances:read'],
    params: byId('instance'),
    response: shown,
    handler: async (call, { params }) => show(await found(call, params.id)),
  }),
  write('DELETE', {
    id: 'endInstance',
    path: '/instances/{id}',
    summary: 'End an instance for good',
    description: 'Its children end with it, and all their tokens, at once.',
    scopes: ['instances:write'],
    params: byId('instance'),
    async handler(call, { params }) {
      const { id } = await found(call, params.id);
      const wanted = { effect: 'end' as const, reason: 'ended by an administrator' };
      return { body: undefined, event: await revokedById(call, 'instance', id, wanted) };
    },
  }),
] as const;
