/** Revoking anything, how far it reaches, and who has acknowledged it. */
import { z } from 'zod';
import { findAgent } from '../agents/store.ts';
import { orderAcknowledged } from '../feed-leases/acknowledgement.ts';
import { reachOfRevocation } from '../revocations/reach.ts';
import type { Effect, Target } from '../revocations/revocable.ts';
import { type Revocation, selectOrdered, selectRevocations } from '../revocations/store.ts';
import { type RevocableKind, revocable } from '../revocations/subjects.ts';
import { insufficientScope } from '../web/caller.ts';
import { badRequest, invalid, notFound } from '../web/problem.ts';
import { countInQuery, idOf, line, oneOf, time } from './fields.ts';
import { reaches, reachesAny } from './reach.ts';
import {
  kindField,
  namedSubject,
  reachQuery,
  revokeBody,
  showAcknowledgement,
  shownAcknowledgement,
  shownReach,
  shownRevocation,
  showReach,
  showRevocation,
  subjectReference,
} from './revocation-shape.ts';
import { revokedBy } from './revoke.ts';
import { type Call, read, write } from './route.ts';
import { type AdminScope, adminResource } from './scopes.ts';
import { exampleId, listQuery, pageOfSchema } from './shapes.ts';

const own = 'revocations:own' satisfies AdminScope;

/** Whose agents the caller may see and stop, if that is all; undefined for who may do more. */
async function ownerLimit(call: Call, scope: AdminScope): Promise<string | undefined> {
  if (call.caller.scopes.includes(scope)) return undefined;
  const agent = await findAgent(call.q, call.caller.agent);
  return agent?.owner ?? 'nobody';
}

/**
 * What is meant, if the caller may revoke it, or may look how far that would reach.
 * @throws Problem 404, the same for what isn't there and what is somebody else's; 403 for kinds that the token can't concern
 */
export async function foundSubject(
  call: Call,
  { kind, reference }: { kind: RevocableKind; reference: string },
  scope: AdminScope,
): Promise<Target> {
  const row = revocable(kind);
  const owner = await ownerLimit(call, scope);
  const needed = owner !== undefined && !row.byOwners ? scope : row.everybodys ? 'organizations:any' : undefined;
  if (needed !== undefined && !call.caller.scopes.includes(needed)) {
    const resource = adminResource(call.deps.config);
    const why =
      needed === scope
        ? 'who answers for agents may revoke those and what hangs on them alone'
        : 'that concerns every organization';
    throw insufficientScope(resource, [needed], `${why}: this needs ${needed}, which the token does not have`);
  }
  const target = await row.find(call.q, reference, call.org.id);
  if (!target) throw notFound(kind, reference);
  const { org, agent, builtIn } = target;
  const elsewhere = org !== undefined && (!reaches(call.caller, org) || (call.orgNamed && org !== call.org.id));
  const anothers = owner !== undefined && (agent?.owner !== owner || org !== call.caller.org);
  if ((elsewhere && !builtIn) || anothers) throw notFound(kind, reference);
  return target;
}

/** @throws Problem 422 */
function effectOf(kind: RevocableKind, wanted: Effect | undefined, agents: boolean): Effect {
  const { effects } = revocable(kind);
  if (agents && kind !== 'person' && kind !== 'team') throw invalid('agents', 'goes with a person or a team');
  // of a person nothing but their tokens is meant by default; of the agents that they answer for, what is meant of an agent
  const usual = kind === 'person' && agents ? revocable('agent').effects[0] : effects[0];
  if (wanted === undefined || effects.includes(wanted)) return wanted ?? usual;
  throw invalid('effect', `of a ${kind} must be one of ${effects.join(', ')}`);
}

const revoked = z.strictObject({
  rev: z
    .number()
    .optional()
    .meta({ description: 'The number of the revocation; none where it had ended by its time.' }),
  last_rev: z.number().optional().meta({ description: 'The last of those that came with it.' }),
  kind: kindField,
  subject: z.string(),
  name: z.string(),
  effect: revokeBody.shape.effect.unwrap(),
  already: z.literal(true).optional().meta({ description: 'It had ended before: nothing was changed.' }),
  reach: shownReach.optional().meta({ description: 'How far it reached, as of just before: with `with_reach`.' }),
  acknowledgement: shownAcknowledgement,
});

const nothing = { complete: true, resources: [] };

export const revocationRoutes = [
  write('POST', {
    id: 'revoke',
    path: '/revocations',
    summary: 'Revoke something, with all that hangs on it',
    description:
      'What has ended already is no error. The answer says who has acknowledged it: nobody accepts what it ended once `complete` is true.',
    scopes: ['revocations:write'],
    orScope: own,
    status: 201,
    body: revokeBody,
    example: { subject: exampleId('agent'), reason: 'calls that nobody can explain', wait_seconds: 5 },
    response: revoked,
    async prepare(call, { body }) {
      const named = namedSubject(body);
      const target = await foundSubject(call, named, 'revocations:write');
      const effect = effectOf(named.kind, body.effect, body.agents);
      const subject = { kind: named.kind, target };
      // only for whoever wants it: an emergency doesn't wait for a count
      const reach = body.with_reach
        ? await reachOfRevocation(call.deps, subject, { effect, agents: body.agents })
        : undefined;
      return { ...named, reach, made: await revocable(named.kind).prepare?.(call.deps, target) };
    },
    async handler(call, { body }, { kind, reference, reach, made }) {
      const target = await foundSubject(call, { kind, reference }, 'revocations:write');
      const effect = effectOf(kind, body.effect, body.agents);
      const wanted = { effect, reason: body.reason, agents: body.agents || kind === 'team', prepared: made };
      const { rev, last, events } = await revokedBy(call, { kind, target }, wanted);
      const answer = {
        ...(rev !== undefined && { rev }),
        ...(last !== undefined && last !== rev && { last_rev: last }),
        kind,
        subject: target.id,
        name: target.name,
        effect,
        ...(events.length === 0 && { already: true as const }),
        ...(reach && { reach: showReach(reach) }),
        acknowledgement: nothing,
      };
      return { body: answer, event: events };
    },
    async finish(call, body, { body: { wait_seconds } }) {
      const { rev, last_rev } = body;
      if (rev === undefined) return body;
      const acknowledgement = await orderAcknowledged(
        call.deps,
        { first: rev, last: last_rev ?? rev },
        wait_seconds * 1000,
      );
      return { ...body, acknowledgement: showAcknowledgement(acknowledgement) };
    },
  }),
  read({
    id: 'listRevocations',
    path: '/revocations',
    summary: 'List revocations, newest first',
    description: 'What was ordered with another is shown with that one.',
    scopes: ['revocations:read'],
    orScope: own,
    query: listQuery({
      subject: subjectReference.optional(),
      kind: line(40, 1).optional().meta({ description: 'Of what.' }),
      agent: idOf('agent').optional().meta({ description: 'Of this agent, and of what hangs on it.' }),
      by: idOf('agent').optional().meta({ description: 'Whose doing it was.' }),
      since: time.optional().meta({ description: 'At this time or later.' }),
      until: time.optional().meta({ description: 'Before this time.' }),
    }),
    response: pageOfSchema(shownRevocation),
    async handler(call, { query }) {
      const shown = query.limit ?? 50;
      const { subject, kind, agent, by } = query;
      const rows = await selectRevocations(call.q, {
        ...(await visible(call)),
        subject,
        kind: kind === 'role_grant' ? 'grant' : kind,
        agent,
        by,
        since: query.since === undefined ? undefined : Date.parse(query.since),
        until: query.until === undefined ? undefined : Date.parse(query.until),
        before: numberOf(query.cursor),
        limit: shown + 1,
      });
      const items = rows.slice(0, shown);
      const last = items.at(-1);
      return {
        items: items.map(showRevocation),
        ...(rows.length > shown && last && { next_cursor: cursorOf(last.rev) }),
      };
    },
  }),
  read({
    id: 'showReach',
    path: '/revocations/reach',
    summary: 'How far a revocation would reach',
    scopes: ['revocations:read'],
    orScope: own,
    query: z.strictObject(reachQuery),
    response: shownReach.extend({
      kind: kindField,
      subject: z.string(),
      name: z.string(),
      organization: idOf('organization').optional(),
      effect: oneOf(['suspend', 'end', 'tokens']).meta({ description: 'What it would do.' }),
      effects: z.array(z.string()).meta({ description: 'What it could do, the usual first.' }),
      over: z.boolean().meta({ description: 'It has ended for good: there is nothing to revoke.' }),
    }),
    async handler(call, { query }) {
      const { kind, reference } = namedSubject(query);
      const target = await foundSubject(call, { kind, reference }, 'revocations:read');
      const agents = query.agents === 'true';
      const effect = effectOf(kind, query.effect, agents);
      const reach = await reachOfRevocation(call.deps, { kind, target }, { effect, agents });
      return {
        kind,
        subject: target.id,
        name: target.name,
        ...(target.org !== undefined && { organization: target.org }),
        effect,
        effects: [...revocable(kind).effects],
        over: target.over,
        ...showReach(reach),
      };
    },
  }),
  read({
    id: 'getRevocation',
    path: '/revocations/{rev}',
    summary: 'Show a revocation, and who has acknowledged it when',
    scopes: ['revocations:read'],
    orScope: own,
    params: z.strictObject({
      rev: z
        .string()
        .regex(/^\d{1,15}$/)
        .transform(Number),
    }),
    query: z.strictObject({
      wait_seconds: countInQuery(0, 60)
        .optional()
        .meta({ description: 'How long to wait, at most, until it is true everywhere.' }),
    }),
    response: shownRevocation.extend({
      came_with_it: z.array(z.strictObject({ rev: z.number(), kind: z.string(), subject: z.string() })),
      acknowledgement: shownAcknowledgement,
    }),
    async handler(call, { params, query }) {
      const [one] = await selectRevocations(call.q, { ...(await visible(call)), rev: params.rev, limit: 1 });
      if (!one) throw notFound('revocation', String(params.rev));
      const together = await ordered(call, one);
      const last = together.at(-1)?.rev ?? one.rev;
      const waitMs = (query.wait_seconds ?? 0) * 1000;
      return {
        ...showRevocation(one),
        came_with_it: together.filter(({ rev }) => rev !== one.rev),
        acknowledgement: showAcknowledgement(await orderAcknowledged(call.deps, { first: one.rev, last }, waitMs)),
      };
    },
  }),
] as const;

/** Only the first of an order tells of the others. */
const ordered = async (call: Call, { rev, cause }: Revocation) => (cause === rev ? selectOrdered(call.q, rev) : []);

/** Which revocations the caller may know of. */
async function visible(call: Call): Promise<{ org?: string; owner?: string }> {
  const owner = await ownerLimit(call, 'revocations:read');
  if (owner !== undefined) return { org: call.caller.org, owner };
  return reachesAny(call.caller) && !call.orgNamed ? {} : { org: call.org.id };
}

const cursorOf = (rev: number): string => Buffer.from(`r.${rev}`).toString('base64url');

/** @throws Problem 400 */
function numberOf(cursor: string | undefined): number | undefined {
  if (cursor === undefined) return undefined;
  const rev = Number(/^r\.(\d{1,15})$/.exec(Buffer.from(cursor, 'base64url').toString('latin1'))?.[1] ?? 'none');
  if (Number.isSafeInteger(rev) && cursorOf(rev) === cursor) return rev;
  throw badRequest([{ field: 'cursor', message: 'must be the next_cursor of an earlier page of this list' }]);
}
