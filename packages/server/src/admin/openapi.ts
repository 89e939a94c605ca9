/**
 * The description of the admin API, made from the table that serves it: the schemas in it are those that validate.
 * @see OpenAPI 3.1
 */
import { z } from 'zod';
import { answersKeptMs } from '../web/idempotency.ts';
import { problemKinds } from '../web/problem.ts';
import { organizationParameter } from './input.ts';
import type { Route } from './route.ts';
import { adminResource, adminScopes } from './scopes.ts';
import { adminTable } from './table.ts';

type Json = Record<string, unknown>;

const problemSchema = z
  .strictObject({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    errors: z.array(z.strictObject({ field: z.string(), message: z.string() })).optional(),
  })
  .meta({ description: 'RFC 9457. `errors` names each field, with what would be right.' });

/** The whole document. */
export function openApiDocument(config: { issuer: string }): Json {
  const paths: Record<string, Json> = {};
  for (const route of adminTable as readonly Route[]) {
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operationOf(route) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Bailiwick admin API',
      version: '1',
      description:
        'The registry and everything that an administrator does. Tokens come from the token endpoint, for the resource ' +
        `${adminResource(config)}, and are bound to a key (DPoP). Times are RFC 3339; errors are problem details (RFC 9457).`,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: `${adminResource(config)}/v1` }],
    tags: tags(),
    paths,
    components: {
      securitySchemes: {
        oauth2: {
          type: 'oauth2',
          description: 'A DPoP-bound access token (RFC 9449).',
          flows: { clientCredentials: { tokenUrl: `${config.issuer}/oauth2/token`, scopes: { ...adminScopes } } },
        },
      },
      schemas: { Problem: jsonSchema(problemSchema, 'output') },
      parameters: {
        Organization: parameter('organization', 'query', organizationParameter, false),
        IdempotencyKey: {
          name: 'Idempotency-Key',
          in: 'header',
          required: false,
          description: `A request that is sent again with the same key within ${answersKeptMs / 3_600_000} hours changes nothing more and gets the first answer.`,
          schema: { type: 'string', minLength: 1, maxLength: 255 },
          example: '7f0d5e0c-5f1e-4f0a-9b8e-1c9f5b3a2d10',
        },
        IfMatch: {
          name: 'If-Match',
          in: 'header',
          required: false,
          description: 'The ETag of what is to be changed: refused with 412 if it was changed meanwhile.',
          schema: { type: 'string' },
        },
      },
      responses: problemResponses(),
    },
  };
}

function operationOf(route: Route): Json {
  const parameters = [
    ...Object.entries(route.params?.shape ?? {}).map(([name, schema]) =>
      parameter(name, 'path', schema as z.ZodType, true),
    ),
    ...Object.entries(route.query?.shape ?? {}).map(([name, schema]) =>
      parameter(name, 'query', schema as z.ZodType, !(schema as z.ZodType).safeParse(undefined).success),
    ),
    { $ref: '#/components/parameters/Organization' },
    ...(route.kind === 'write' ? [{ $ref: '#/components/parameters/IdempotencyKey' }] : []),
    ...(route.method === 'PATCH' ? [{ $ref: '#/components/parameters/IfMatch' }] : []),
  ];
  return {
    operationId: route.id,
    summary: route.summary,
    ...(route.description !== undefined && { description: route.description }),
    tags: [tagOf(route)],
    security: [{ oauth2: [...route.scopes] }, ...(route.orScope === undefined ? [] : [{ oauth2: [route.orScope] }])],
    parameters,
    ...(route.body && { requestBody: requestBody(route, route.body) }),
    responses: responsesOf(route),
  };
}

function requestBody(route: Route, body: z.ZodType): Json {
  const media = { schema: jsonSchema(body, 'input'), ...(route.example !== undefined && { example: route.example }) };
  const types = route.method === 'PATCH' ? ['application/merge-patch+json', 'application/json'] : ['application/json'];
  return {
    required: !body.safeParse(undefined).success,
    content: Object.fromEntries(types.map((type) => [type, media])),
  };
}

function responsesOf(route: Route): Json {
  const status = route.kind === 'read' ? 200 : route.status;
  const streamed = route.kind === 'read' && route.stream;
  const content = streamed
    ? { 'text/event-stream': { schema: { type: 'string' } } }
    : route.response && { 'application/json': { schema: jsonSchema(route.response, 'output') } };
  const headers: Json = {};
  if (status === 201) headers.Location = { schema: { type: 'string', format: 'uri' } };
  if (route.method === 'PATCH' || route.path.endsWith('}')) headers.ETag = { schema: { type: 'string' } };
  const refusals =
    route.kind === 'write'
      ? ['400', '401', '403', '404', '409', '412', '413', '415', '422']
      : ['400', '401', '403', '404', ...(route.body ? ['413', '415', '422'] : [])];
  return {
    [status]: {
      description: status === 204 ? 'Done' : status === 201 ? 'Made' : answerOf(route),
      ...(Object.keys(headers).length > 0 && status !== 204 && { headers }),
      ...(content && { content }),
    },
    ...Object.fromEntries(refusals.map((code) => [code, { $ref: `#/components/responses/${code}` }])),
  };
}

const answerOf = (route: Route): string =>
  route.kind === 'read' && route.method === 'POST' ? 'The answer; nothing is changed' : 'As it is now';

/** One response for each status that a problem can have. */
function problemResponses(): Json {
  const responses: Json = {};
  for (const [kind, { status, title }] of Object.entries(problemKinds)) {
    const known = responses[status] as { description: string } | undefined;
    const example = { type: `urn:bailiwick:problem:${kind}`, title, status, detail: exampleDetail(kind) };
    responses[status] = known
      ? { ...known, description: `${known.description}, or: ${title}` }
      : {
          description: title,
          content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' }, example } },
        };
  }
  return responses;
}

function exampleDetail(kind: string): string {
  const details: Record<string, string> = {
    conflict: 'name is or was the name of another agent here, and names are never used again',
    invalid: 'owner must be the id of a person or team of the same organization',
    'bad-request': 'kind must be one of ai_agent, workload, device',
  };
  return details[kind] ?? 'what was wrong, and what would be right';
}

function parameter(name: string, place: 'path' | 'query', schema: z.ZodType, required: boolean): Json {
  const { description, ...rest } = jsonSchema(schema, 'input');
  return { name, in: place, required, ...(description !== undefined && { description }), schema: rest };
}

function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any', reused: 'inline' }) as Json;
  return rest;
}

const tagOf = (route: Route): string => route.path.split('/')[1] as string;

const tags = (): Json[] => [...new Set((adminTable as readonly Route[]).map(tagOf))].map((name) => ({ name }));
