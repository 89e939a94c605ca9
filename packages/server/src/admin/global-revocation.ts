/**
 * Global Token Revocation: somebody else noticed something, and all tokens of an agent, an instance or a person are to die. It is a route of the
 * admin API in everything but its path.
 * @see draft-parecki-oauth-global-token-revocation-06, RFC 9493
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { findInstanceBySpiffeId } from '../agents/instance-store.ts';
import { selectAgents } from '../agents/store.ts';
import type { Deps } from '../deps.ts';
import { isId } from '../lib/ids.ts';
import { findOrganization } from '../people/store.ts';
import type { Effect } from '../revocations/revocable.ts';
import { kindOfId, type RevocableKind } from '../revocations/subjects.ts';
import type { OwnApiPlugin } from '../web/own-api.ts';
import { refuseOtherMethods, sendAnswer } from '../web/own-api.ts';
import { notFound, Problem } from '../web/problem.ts';
import { globalRevocationPath } from '../web/service.ts';
import { answer } from './answer.ts';
import { email, line, record } from './fields.ts';
import { foundSubject } from './revocations.ts';
import { revokedBy } from './revoke.ts';
import { type Call, type WriteRoute, write } from './route.ts';

const subId = z.discriminatedUnion(
  'format',
  [
    record({ format: z.literal('iss_sub'), iss: line(512, 1), sub: line(512, 1) }),
    record({ format: z.literal('opaque'), id: line(512, 1) }),
    record({ format: z.literal('email'), email }),
  ],
  { error: 'must be a subject identifier (RFC 9493) whose format is iss_sub, opaque or email' },
);

/**
 * What it does to each: tokens die, and nobody gets a new one without proving anew who they are. An agent does that with every request; an
 * instance by enrolling again.
 */
const effects: Partial<Record<RevocableKind, Effect>> = { agent: 'tokens', instance: 'end', person: 'tokens' };

export const globalRevocation: WriteRoute = write('POST', {
  id: 'globalTokenRevocation',
  path: globalRevocationPath,
  summary: 'Revoke all tokens of an agent, an instance or a person',
  scopes: ['revocations:write'],
  orScope: 'revocations:own',
  body: z.object({ sub_id: subId }, { error: 'must be a JSON object' }),
  async handler(call, { body }) {
    const { kind, target, effect } = await sought(call, body.sub_id);
    const { events } = await revokedBy(call, { kind, target }, { effect, reason: 'global token revocation' });
    return { body: undefined, event: events };
  },
});

/** @throws Problem 404, the same for what isn't there, is nobody's or is somebody else's: it repeats what was sent, and nothing that was found */
async function sought(call: Call, id: z.output<typeof subId>) {
  const text = id.format === 'email' ? id.email : id.format === 'opaque' ? id.id : id.sub;
  try {
    const named = await subjectOf(call, id);
    const effect = effects[named.kind];
    if (effect === undefined) throw notFound('subject', text);
    return { kind: named.kind, effect, target: await foundSubject(call, named, 'revocations:write') };
  } catch (error) {
    throw error instanceof Problem && error.kind === 'not-found' ? notFound('subject', text) : error;
  }
}

/** @throws Problem 404 */
async function subjectOf(call: Call, id: z.output<typeof subId>): Promise<{ kind: RevocableKind; reference: string }> {
  switch (id.format) {
    case 'email':
      return { kind: 'person', reference: id.email };
    case 'opaque':
      return byId(id.id);
    case 'iss_sub':
      if (id.iss !== call.deps.config.issuer) throw notFound('subject', id.sub);
      return id.sub.startsWith('spiffe://') ? bySpiffeId(call, id.sub) : byId(id.sub);
  }
}

function byId(id: string): { kind: RevocableKind; reference: string } {
  const kind = kindOfId(id);
  if (kind === undefined) throw notFound('subject', id);
  return { kind, reference: id };
}

/** `spiffe://<trust domain>/<organization>/<agent>`, and of an instance with its id behind. */
async function bySpiffeId(call: Call, sub: string): Promise<{ kind: RevocableKind; reference: string }> {
  const last = sub.slice(sub.lastIndexOf('/') + 1);
  if (isId('instance', last)) {
    const instance = await findInstanceBySpiffeId(call.q, sub);
    if (instance) return { kind: 'instance', reference: instance.id };
    throw notFound('subject', sub);
  }
  const prefix = `spiffe://${call.deps.config.trust_domain}/`;
  const [orgName = '', name = '', ...rest] = sub.startsWith(prefix) ? sub.slice(prefix.length).split('/') : [];
  const organization = rest.length === 0 && !isId('organization', orgName) && (await findOrganization(call.q, orgName));
  const [agent] = organization ? await selectAgents(call.q, { org: organization.id, name, limit: 1 }) : [];
  if (!agent || name === '') throw notFound('subject', sub);
  return { kind: 'agent', reference: agent.id };
}

/** Serves it. @param prefix the issuer's path */
export function serveGlobalRevocation(
  deps: Deps,
  app: FastifyInstance,
  { identify, callerOf, prefix }: OwnApiPlugin & { prefix: string },
): void {
  const url = prefix + globalRevocationPath;
  app.route({
    method: 'POST',
    url,
    onRequest: identify,
    handler: async (request: FastifyRequest, reply) => {
      const { method, headers, body } = request;
      const asked = { method, url: request.url, params: {}, query: request.query, body, ifMatch: undefined };
      const idempotencyKey = headers['idempotency-key'];
      return sendAnswer(reply, await answer(deps, globalRevocation, callerOf(request), { ...asked, idempotencyKey }));
    },
  });
  refuseOtherMethods(app, url, ['POST'], identify);
}
