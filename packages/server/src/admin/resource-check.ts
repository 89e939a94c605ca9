/** What must hold between the members of a resource, and between resources. */
import { compileOperations, ProtocolError } from '@bailiwick/protocol';
import { findAgent } from '../agents/store.ts';
import { isLoopback } from '../config-values.ts';
import { SchemaError } from '../lib/json-schema.ts';
import { checkDetailsType, checkTemplate } from '../resources/details-schema.ts';
import type { Resource } from '../resources/resource.ts';
import { audienceTaken, findResource } from '../resources/store.ts';
import { conflict, invalid } from '../web/problem.ts';
import type { Call } from './route.ts';

/** Rules between the members of a resource. @throws Problem 422 or 409 naming the field */
export async function checkResource(call: Call, resource: Resource): Promise<void> {
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
  await checkTypes(resource);
  for (const [index, id] of resource.servedBy.entries()) {
    const agent = await findAgent(call.q, id);
    if (agent?.org !== resource.org || agent.status === 'retired') {
      throw invalid(`served_by[${index}]`, 'must be the id of an agent of the same organization');
    }
  }
  for (const [index, id] of (resource.token.transactions ?? []).entries()) {
    const inside = await findResource(call.q, id);
    if (inside?.org !== resource.org || inside.status === 'retired' || inside.system || id === resource.id) {
      throw invalid(`token.transactions[${index}]`, 'must be the id of another resource of the same organization');
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

/** Patterns in the schemas of all its types: each takes the compiler its time. */
const mostPatterns = 60;

/** Types of details, and what operations say of them. @throws Problem 422 */
async function checkTypes({ detailsTypes, operations }: Resource): Promise<void> {
  let patterns = 0;
  for (const [index, type] of detailsTypes.entries()) {
    try {
      patterns += await checkDetailsType(type);
      if (patterns > mostPatterns)
        throw new SchemaError('schema', `must have fewer patterns: ${mostPatterns} in all types together`);
    } catch (error) {
      if (error instanceof SchemaError) throw invalid(`details_types[${index}].${error.at}`, error.message);
      throw error;
    }
  }
  for (const [index, operation] of operations.entries()) {
    await sayingWhere(checkTemplate(detailsTypes, operation, `operations[${index}].details`));
  }
}

/** @throws Problem 422 in place of what says in one sentence which detail is wrong, and how */
export async function sayingWhere(check: Promise<void>): Promise<void> {
  try {
    await check;
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    const [, field = '', message = error.message] = /^(\S+) (.*)$/s.exec(error.message) ?? [];
    throw invalid(field, message);
  }
}
