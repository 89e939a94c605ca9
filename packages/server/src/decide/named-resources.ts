/** What tasks and mandates are for, found in the registry: every name is known, and the agent was given every resource. */
import {
  type AuthorizationDetail,
  asOperationDetail,
  operationType,
  ProtocolError,
  readDetail,
} from '@bailiwick/protocol';
import type { Agent } from '../agents/agent.ts';
import { Unfit } from '../lib/unfit.ts';
import type { WantedResource } from '../lib/wanted-resources.ts';
import { checkBound, checkDetails } from '../resources/details-schema.ts';
import type { Resource } from '../resources/resource.ts';
import { findResource, findResourceByIdentifier } from '../resources/store.ts';
import type { Queries } from '../store/database.ts';

/** What may be done on one resource. */
export interface NamedResource {
  /** Id of the resource. */
  resource: string;
  scope: readonly string[];
  details: readonly AuthorizationDetail[];
}

/** Whether details are whole, as one request names them; or bounds, of which anything may be left out that isn't limited. */
type Details = 'whole' | 'bounds';

/**
 * Looks up what was named. Roles aren't looked at: they may change, and bound every token anyway.
 * @throws Unfit naming the member: what isn't there and what this agent wasn't given are the same
 */
export async function namedResources(
  q: Queries,
  agent: Agent,
  wanted: readonly WantedResource[],
  as: Details,
): Promise<NamedResource[]> {
  const resources: NamedResource[] = [];
  for (const [index, each] of wanted.entries()) {
    const field = `resources[${index}]`;
    const resource = await givenResource(q, agent, each.resource, field);
    if (resources.some((known) => known.resource === resource.id)) {
      throw new Unfit(`${field}.resource`, 'must name each resource once');
    }
    resources.push({
      resource: resource.id,
      scope: scopesOf(resource, each, field),
      details: await detailsOf(resource, each, field, as),
    });
  }
  return resources;
}

async function givenResource(q: Queries, agent: Agent, reference: string, field: string): Promise<Resource> {
  // what is no URI names nothing, and PostgreSQL would choke on a NUL
  const found = !/^[\x21-\x7e]+$/.test(reference)
    ? undefined
    : reference.startsWith('res_')
      ? await findResource(q, reference)
      : await findResourceByIdentifier(q, reference);
  const given = found && found.status !== 'retired' && agent.resources.some(({ resource }) => resource === found.id);
  if (found && given) return found;
  throw new Unfit(`${field}.resource`, 'must be the id or identifier of a resource that the agent was given');
}

function scopesOf(
  resource: Resource,
  { scope, operations, authorization_details }: WantedResource,
  field: string,
): string[] {
  if (scope === undefined && operations === undefined && authorization_details === undefined) {
    throw new Unfit(field, 'must name scope, operations or authorization_details: nothing unnamed is granted');
  }
  const names = [...new Set(scope?.split(' ') ?? [])];
  const unknown = names.find((name) => !resource.scopes.some((known) => known.name === name));
  if (unknown !== undefined) throw new Unfit(`${field}.scope`, `must name scopes of the resource: ${unknown} is none`);
  return names;
}

async function detailsOf(
  resource: Resource,
  wanted: WantedResource,
  field: string,
  as: Details,
): Promise<AuthorizationDetail[]> {
  const { operations, authorization_details: written = [] } = wanted;
  const details = await knownDetails(resource, written, `${field}.authorization_details`, as);
  if (operations === undefined) return details;
  const actions = [...new Set(operations)];
  knownOperations(resource, actions, `${field}.operations`);
  return [...details, { type: operationType, actions }];
}

async function knownDetails(
  resource: Resource,
  written: readonly unknown[],
  field: string,
  as: Details,
): Promise<AuthorizationDetail[]> {
  try {
    const details = written.map((each, index) => readDetail(each, `${field}[${index}]`));
    if (as === 'whole') await checkDetails(resource.detailsTypes, details, field);
    for (const [index, detail] of details.entries()) {
      const at = `${field}[${index}]`;
      if (as === 'bounds') await checkBound(resource.detailsTypes, detail, at);
      if (detail.type !== operationType || detail.actions === undefined) continue;
      knownOperations(resource, asOperationDetail(detail, field).actions, `${at}.actions`);
    }
    return details;
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    const [, place = field, message = error.message] = /^(\S+) (.*)$/s.exec(error.message) ?? []; // it begins with where
    throw new Unfit(place, message);
  }
}

function knownOperations({ operations }: Resource, actions: readonly string[], field: string): void {
  const unknown = actions.some((action) => !operations.some(({ name }) => name === action));
  if (unknown) throw new Unfit(field, 'must name operations of the resource');
}
