/** From what arrived to typed values: a route's schemas, and what every route takes. */
import { z } from 'zod';
import { fieldErrors } from '../web/invalid.ts';
import { badRequest, notFound } from '../web/problem.ts';
import { line } from './fields.ts';
import type { Route } from './route.ts';

export const organizationParameter = line(64, 1).optional().meta({
  description: 'Id or name of the organization, where it is not the caller’s own (needs `organizations:any`).',
});

export interface Input {
  params: unknown;
  query: { organization?: string | undefined };
  body: unknown;
}

const schemas = new WeakMap<Route, { query: z.ZodObject; body: z.ZodType }>();

function schemasOf(route: Route) {
  let known = schemas.get(route);
  if (!known) {
    const query = z.strictObject({ ...route.query?.shape, organization: organizationParameter });
    // where nothing is expected, nothing and an empty object are the same
    known = { query, body: route.body ?? z.strictObject({}).optional() };
    schemas.set(route, known);
  }
  return known;
}

/**
 * @throws Problem 400 naming every field that is wrong; 404 for an id in the path that can't be one
 */
export function inputOf(route: Route, request: { params: unknown; query: unknown; body: unknown }): Input {
  const { query, body } = schemasOf(route);
  return {
    params: paramsOf(route, request.params),
    query: parsed(query, request.query, 'query') as Input['query'],
    body: parsed(body, request.body, 'body'),
  };
}

function paramsOf(route: Route, params: unknown): unknown {
  if (!route.params) return {};
  const result = route.params.safeParse(params);
  if (result.success) return result.data;
  const name = String(result.error.issues[0]?.path[0] ?? 'id');
  const noun = name === 'id' ? nounOf(route.path) : name.replace(/_id$/, '');
  throw notFound(noun, String((params as Record<string, unknown>)[name] ?? ''));
}

/** `/teams/{id}/members` is about a team. */
function nounOf(path: string): string {
  const plural = path.split('/')[1] ?? 'thing';
  return plural === 'people' ? 'person' : plural.replace(/s$/, '');
}

function parsed(schema: z.ZodType, value: unknown, where: string): unknown {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw badRequest(fieldErrors(result.error, value, where, membersOf(schema)));
}

/** What would have been right at the top, for "did you mean". */
function membersOf(schema: z.ZodType): string[] {
  if (schema instanceof z.ZodObject) return Object.keys(schema.shape);
  if (schema instanceof z.ZodDiscriminatedUnion) return (schema.options as z.ZodType[]).flatMap(membersOf);
  return [];
}
