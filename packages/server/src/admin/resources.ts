import { compileOperations, jwsAlgorithms, type PrivateJwk, ProtocolError } from '@bailiwick/protocol';
import { z } from 'zod';
import { isLoopback } from '../config-schema.ts';
import { ensureSigningKey, keyStates, newSigningKey } from '../keys/keys.ts';
import { rfc3339 } from '../lib/clock.ts';
import { newId } from '../lib/ids.ts';
import { endSubject, narrowSubject, registerSubject } from '../liveness/liveness.ts';
import { isNarrower, type Resource } from '../resources/resource.ts';
import { audienceTaken, findResource, insertResource, selectResources, updateResource } from '../resources/store.ts';
import { pageOf } from '../web/paging.ts';
import { conflict, invalid } from '../web/problem.ts';
import { flag, line, oneOf, record, scopeName, setOf, shownTime, wholeNumber } from './fields.ts';
import { notBuiltIn, notRetired, within } from './reach.ts';
import { type Call, read, type WriteCall, write } from './route.ts';
import {
  byId,
  changes,
  checkMatch,
  common,
  listQuery,
  pageFilter,
  pageOfSchema,
  patchedBy,
  patchOf,
  stopBody,
} from './shapes.ts';

const identifierMessage =
  'must be an absolute https URL (http on this machine alone) in its normal form, without user name, query or fragment, such as https://tickets.example.com/api';

const identifier = line(512, 1)
  .refine(isIdentifier, identifierMessage)
  .meta({
    description:
      'What tokens name as `aud` and token requests as `resource` (RFC 8707). Unique in the whole deployment, and never changed.',
    examples: ['https://tickets.example.com/api'],
  });

const scope = z.strictObject({ name: scopeName, description: line(500).default('') });

const operation = z.strictObject({
  name: line(100, 1),
  method: z
    .string({ error: 'must be an HTTP method in capitals' })
    .regex(/^[A-Z][A-Z-]{0,31}$/, 'must be an HTTP method in capitals')
    .optional(),
  path: line(1000, 1)
    .optional()
    .meta({ description: 'A template below the identifier: /tickets/{id}, /files/{rest*}.' }),
  tool: line(200, 1).optional().meta({ description: 'The name of an MCP tool, instead of method and path.' }),
  scope: setOf(scopeName, 50, 'scopes').meta({ description: 'All of them are needed.' }),
  sensitivity: oneOf(['low', 'medium', 'high']).default('medium'),
  definition: z
    .string({ error: 'must be a SHA-256 in base64url' })
    .regex(/^[A-Za-z0-9_-]{43}$/, 'must be a SHA-256 in base64url')
    .optional()
    .meta({
      description:
        'Of a tool: the hash of all that its server said of it when somebody last looked. Its guard hides and refuses a tool that says something else.',
    }),
});

const writable = {
  name: line(200, 1),
  scopes: z
    .array(scope, { error: 'must be a list of scopes' })
    .max(500, 'must be at most 500 scopes')
    .refine((all) => distinct(all.map(({ name }) => name)), 'must name each scope once')
    .default([]),
  operations: z
    .array(operation, { error: 'must be a list of operations' })
    .max(1000, 'must be at most 1000 operations')
    .refine((all) => distinct(all.map(({ name }) => name)), 'must have a name of its own for each operation')
    .refine((all) => distinct(all.flatMap(({ tool }) => tool ?? [])), 'must name each tool once')
    .default([])
    .meta({ description: 'What can be done, and the scopes that it takes. What is not listed is refused.' }),
  token: z
    .strictObject({
      alg: oneOf(jwsAlgorithms).default('ES256'),
      // other types mean other things to other verifiers: we sign none that could be mistaken for something else
      typ: oneOf(['at+jwt', 'JWT']).default('at+jwt'),
      lifetime_seconds: wholeNumber(1, 900).optional(),
      audience: line(512, 1)
        .optional()
        .meta({ description: 'The `aud`, where a verifier insists on another than the identifier.' }),
      dangerously_bearer: flag
        .default(false)
        .meta({ description: 'Tokens are bound to no key: who finds one can use it.' }),
    })
    .default({ alg: 'ES256', typ: 'at+jwt', dangerously_bearer: false }),
};

export const shownResource = z.strictObject({
  ...common('resource'),
  identifier: z.string(),
  name: z.string(),
  scopes: z.array(z.strictObject({ name: z.string(), description: z.string() })),
  operations: z.array(
    z.strictObject({
      name: z.string(),
      method: z.string().optional(),
      path: z.string().optional(),
      tool: z.string().optional(),
      scope: z.array(z.string()),
      sensitivity: oneOf(['low', 'medium', 'high']),
      definition: z.string().optional(),
    }),
  ),
  token: z.strictObject({
    alg: oneOf(jwsAlgorithms),
    typ: z.string(),
    lifetime_seconds: z.number().optional(),
    audience: z.string().optional(),
    dangerously_bearer: z.boolean(),
  }),
  system: z.boolean().meta({ description: 'The server’s own: usable from every organization, changed by none.' }),
  status: oneOf(['active', 'suspended', 'retired']),
  updated_at: shownTime,
});

export const showResource = (resource: Resource): z.output<typeof shownResource> => ({
  id: resource.id,
  organization: resource.org,
  identifier: resource.identifier,
  name: resource.name,
  scopes: resource.scopes,
  operations: resource.operations,
  token: resource.token,
  system: resource.system !== undefined,
  status: resource.status,
  created_at: rfc3339(resource.createdAt),
  updated_at: rfc3339(resource.updatedAt),
});

const found = async (call: Call, id: string) => within(call, 'resource', id, await findResource(call.q, id));

async function changeable(call: Call, id: string): Promise<Resource> {
  const resource = notBuiltIn('resource', await found(call, id));
  notRetired('resource', resource);
  return resource;
}

/** @see RFC 8707 §2 */
function isIdentifier(text: string): boolean {
  const url = URL.parse(text);
  if (!url || url.username || url.password || /[?#\\]/.test(text)) return false;
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback(url.hostname))) return false;
  // compared as it is written, so there must be one way to write it
  return url.href === text || (url.pathname === '/' && url.href === `${text}/`);
}

const distinct = (all: readonly string[]) => new Set(all).size === all.length;

/** Rules between the members. @throws Problem 422 or 409 naming the field */
async function checkResource(call: Call, resource: Resource): Promise<void> {
  const known = new Set(resource.scopes.map(({ name }) => name));
  for (const [index, one] of resource.operations.entries()) {
    if (one.definition !== undefined && one.tool === undefined) {
      throw invalid(`operations[${index}].definition`, 'is for tools: this operation is none');
    }
    const unknown = one.scope.filter((name) => !known.has(name));
    if (unknown.length > 0) {
      throw invalid(`operations[${index}].scope`, `must be scopes of this resource: it has no ${unknown.join(', ')}`);
    }
  }
  try {
    compileOperations(resource.operations);
  } catch (error) {
    if (error instanceof ProtocolError) throw invalid('operations', `can not be matched: ${error.message}`);
    throw error;
  }
  const { audience } = resource.token;
  await checkAudience(call, resource, resource.identifier, 'identifier');
  if (audience !== undefined && audience !== resource.identifier) {
    await checkAudience(call, resource, audience, 'token.audience');
  }
}

/**
 * A token's `aud` says whose it is, so nobody may have tokens made that name another's: above all not ours.
 * @throws Problem 409 naming the field
 */
async function checkAudience(
  call: Call,
  { id, org }: Resource,
  audience: string,
  field: 'identifier' | 'token.audience',
): Promise<void> {
  const { issuer } = call.deps.config;
  // what lies below the issuer is or may become an API of the server itself
  if (audience === issuer || audience.startsWith(`${issuer}/`)) {
    throw conflict(field, 'is an address of this server itself');
  }
  if (issuer.startsWith('http:') && isAdminOfThisMachine(audience)) {
    throw conflict(field, 'may become an address of this server itself, when it listens on another port');
  }
  if (await audienceTaken(call.q, { audience, by: id, org, identifies: field === 'identifier' })) {
    throw conflict(field, 'is or was claimed by another resource');
  }
}

/** Whether our admin API could be called so: a server in plain http moves from port to port (`first-start.ts`). */
function isAdminOfThisMachine(text: string): boolean {
  const url = URL.parse(text);
  return url?.protocol === 'http:' && isLoopback(url.hostname) && /\/admin\/*$/.test(url.pathname);
}

/** The first key of an algorithm is made when the first resource asks for it; before the transaction, since RSA takes its time. */
async function keyFor(call: Call, alg: Resource['token']['alg'] | null | undefined): Promise<PrivateJwk | undefined> {
  if (!alg || alg === 'ES256') return undefined; // null in a patch: back to the default
  const known = await keyStates(call.deps, call.caller.asOf.version);
  return known.some((key) => key.alg === alg) ? undefined : newSigningKey(alg);
}

async function haveKey(call: WriteCall, alg: Resource['token']['alg'], fresh: PrivateJwk | undefined) {
  if (fresh) await ensureSigningKey(call.tx, call.deps, alg, fresh);
}

export const resourceRoutes = [
  read({
    id: 'listResources',
    path: '/resources',
    summary: 'List resources',
    scopes: ['resources:read'],
    query: listQuery({
      identifier: line(512, 1).optional(),
      name: line(200, 1).optional(),
      status: oneOf(['active', 'suspended', 'retired']).optional(),
    }),
    response: pageOfSchema(shownResource),
    async handler(call, { query }) {
      const page = pageFilter('resource', query);
      const { identifier, name, status } = query;
      const filter = { org: call.org.id, identifier, name, status, ...page };
      return pageOf(await selectResources(call.q, filter), page.shown, showResource);
    },
  }),
  write('POST', {
    id: 'createResource',
    path: '/resources',
    summary: 'Register a resource',
    description: 'An API or MCP server that tokens are for.',
    scopes: ['resources:write'],
    status: 201,
    body: record({ identifier, ...writable }),
    example: {
      identifier: 'https://tickets.example.com/api',
      name: 'Tickets',
      scopes: [{ name: 'tickets:read', description: 'Read tickets' }],
      operations: [
        { name: 'read a ticket', method: 'GET', path: '/tickets/{id}', scope: ['tickets:read'], sensitivity: 'low' },
      ],
    },
    response: shownResource,
    prepare: (call, { body }) => keyFor(call, body.token.alg),
    async handler(call, { body }, fresh) {
      const { tx, deps, org, now } = call;
      const resource: Resource = {
        id: newId(deps, 'resource'),
        org: org.id,
        ...body,
        status: 'active',
        detailsTypes: [],
        system: undefined,
        createdAt: now,
        updatedAt: now,
      };
      await checkResource(call, resource);
      if (!(await insertResource(tx, resource))) {
        throw conflict('identifier', 'is or was the identifier of another resource');
      }
      await registerSubject(tx, { id: resource.id, kind: 'resource', parent: org.id, now });
      await haveKey(call, resource.token.alg, fresh);
      const after = showResource(resource);
      const { identifier, name, scopes, operations, token } = after;
      const changed = { identifier, name, scopes, operations, token };
      return { body: after, event: { type: 'resource.created', org: org.id, target: resource.id, changed } };
    },
  }),
  read({
    id: 'getResource',
    path: '/resources/{id}',
    summary: 'Show a resource',
    scopes: ['resources:read'],
    params: byId('resource'),
    response: shownResource,
    handler: async (call, { params }) => showResource(await found(call, params.id)),
  }),
  write('PATCH', {
    id: 'updateResource',
    path: '/resources/{id}',
    summary: 'Change a resource',
    description: 'What is taken away (a scope, the freedom to be used without a key, lifetime) ends the tokens for it.',
    scopes: ['resources:write'],
    params: byId('resource'),
    body: patchOf(writable),
    example: { token: { lifetime_seconds: 120 } },
    response: shownResource,
    prepare: (call, { body }) =>
      keyFor(call, (body.token as { alg?: Resource['token']['alg'] | null } | undefined)?.alg),
    async handler(call, { params, body }, fresh) {
      const { tx, now } = call;
      const resource = await changeable(call, params.id);
      const before = showResource(resource);
      checkMatch(call, before);
      const { name, scopes, operations, token } = resource;
      const wanted = patchedBy(
        z.strictObject(writable),
        { name, scopes, operations, token: token as z.output<typeof writable.token> },
        body,
      );
      const changed: Resource = { ...resource, ...wanted, updatedAt: now };
      const differences = changes(before, showResource(changed));
      if (Object.keys(differences).length === 0) return { body: before };
      await checkResource(call, changed);
      await updateResource(tx, changed);
      await haveKey(call, changed.token.alg, fresh);
      if (isNarrower(resource, changed)) {
        await narrowSubject(tx, {
          id: resource.id,
          reason: 'narrowed by an administrator',
          by: call.caller.agent,
          now,
        });
      }
      const event = { type: 'resource.updated' as const, org: resource.org, target: resource.id, changed: differences };
      return { body: showResource(changed), event };
    },
  }),
  write('POST', {
    id: 'retireResource',
    path: '/resources/{id}/retire',
    summary: 'End a resource for good',
    description:
      'No more tokens are made for it, and those that there are end at once. Its identifier is never used again.',
    scopes: ['resources:write'],
    params: byId('resource'),
    body: stopBody,
    example: { reason: 'switched off' },
    response: shownResource,
    async handler(call, { params, body }) {
      const { tx, now } = call;
      const resource = notBuiltIn('resource', await found(call, params.id));
      if (resource.status === 'retired') return { body: showResource(resource) };
      const reason = body.reason || 'retired by an administrator';
      await endSubject(tx, { id: resource.id, reason, by: call.caller.agent, now });
      const event = { type: 'resource.retired' as const, org: resource.org, target: resource.id, details: { reason } };
      return { body: showResource({ ...resource, status: 'retired' }), event };
    },
  }),
] as const;
