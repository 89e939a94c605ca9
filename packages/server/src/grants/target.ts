/** What a request asks for: one resource and scopes on it, named or meant by the registration. */
import { type AuthorizationDetail, linkTag, ProtocolError, parseScope } from '@bailiwick/protocol';
import type { AgentResource } from '../agents/agent.ts';
import type { Client, Form } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import { rememberedPer } from '../lib/remember.ts';
import type { Resource } from '../resources/resource.ts';
import { givenToAll } from '../resources/role.ts';
import { findResource, findResourceByIdentifier, findResourcesByAudience } from '../resources/store.ts';
import { audienceOf } from '../tokens/claims.ts';
import { single } from '../tokens/form.ts';
import type { Subject } from './subject.ts';

const resources = rememberedPer<Resource>(10_000);
const audiences = rememberedPer<Resource[]>(10_000);
const longestIdentifier = 2048;

/**
 * The one resource that the request names or the registration means.
 * @throws OAuthError `invalid_target` for several, none, one that isn't there or that the agent was not given
 * @see RFC 8707 §2
 */
export async function requestedResource(
  deps: Deps,
  client: Client,
  form: Form,
): Promise<{ resource: Resource; registered: AgentResource }> {
  const named = (form.get('resource') ?? []).filter((identifier) => identifier !== '');
  if (named.length > 1) throw new OAuthError('invalid_target', 'name one resource: a token is for exactly one');
  const [identifier] = named;
  if (identifier !== undefined) return namedResource(deps, client, identifier, form);
  const registered = client.agent.resources.find((each) => each.default);
  if (!registered) throw new OAuthError('invalid_target', 'name a resource: this agent has no default one');
  const resource = await resourceById(deps, client, registered.resource);
  if (!resource) throw notGiven();
  return { resource, registered };
}

/**
 * The one resource that an exchange is for, where `audience` names it as well as `resource`.
 * @param subject means a resource, where the request names none, and carries the tags of those that the chain has come through
 * @throws OAuthError `invalid_target`
 * @see RFC 8693 §2.1
 */
export async function exchangedResource(
  deps: Deps,
  client: Client,
  form: Form,
  { resource: meant, tags }: Pick<Subject, 'resource' | 'tags'>,
): Promise<Resource> {
  const all = [...(form.get('resource') ?? []), ...(form.get('audience') ?? [])];
  const [identifier, ...more] = new Set(all.filter((each) => each !== ''));
  if (more.length > 0) {
    throw new OAuthError('invalid_target', 'resource and audience must name one resource: a token is for exactly one');
  }
  if (identifier === undefined && meant === undefined) {
    throw new OAuthError('invalid_target', 'name a resource: the subject_token is for several');
  }
  const found = identifier === undefined ? undefined : await namedResource(deps, client, identifier, form);
  const resource = found?.resource ?? (await resourceById(deps, client, meant ?? ''));
  if (!resource || !client.agent.resources.some((each) => each.resource === resource.id)) throw notGiven();
  // our own APIs know agents, and nobody behind them
  if (resource.system) throw new OAuthError('invalid_target', 'tokens for the server’s own APIs are not exchanged');
  // a guard tells the APIs of one audience apart by the tag of its own, and the new token will have the tags of the earlier
  const alike = await resourcesOfAudience(deps, client, audienceOf(resource));
  if (alike.some(({ id }) => id !== resource.id && tags.includes(linkTag(id)))) {
    throw new OAuthError('invalid_target', 'a chain can not come to another API of the same audience');
  }
  return resource;
}

/** All APIs whose tokens carry this `aud`. */
export const resourcesOfAudience = async ({ db }: Deps, { asOf }: Client, audience: string): Promise<Resource[]> =>
  (await audiences(db).get(asOf.version, audience, () => findResourcesByAudience(db, audience))) ?? [];

/** The resource with this id, whatever its status. */
export const resourceById = ({ db }: Deps, { asOf }: Client, id: string): Promise<Resource | undefined> =>
  resources(db).get(asOf.version, id, () => findResource(db, id));

async function namedResource(
  deps: Deps,
  { agent, asOf }: Client,
  identifier: string,
  form: Form,
): Promise<{ resource: Resource; registered: AgentResource }> {
  // what is no URI names nothing, and PostgreSQL would choke on a NUL
  if (identifier.length > longestIdentifier || !/^[\x21-\x7e]+$/.test(identifier)) throw notGiven();
  const resource = await resources(deps.db).get(asOf.version, identifier, () =>
    findResourceByIdentifier(deps.db, identifier),
  );
  const registered =
    resource && (agent.resources.find((each) => each.resource === resource.id) ?? ofEveryAgent(resource, form));
  if (!resource || !registered) throw notGiven(); // the same for both: what exists is none of a stranger's business
  return { resource, registered };
}

/** What every agent may is reached without a registration for it, by asking for that alone. */
function ofEveryAgent(resource: Resource, form: Form): AgentResource | undefined {
  const scope = single(form, 'scope');
  if (scope === undefined || !givenToAll(resource, scope)) return undefined;
  return { resource: resource.id, default: false, scope: [scope] };
}

/**
 * The scopes that the request names; without any, those that the registration means, or none where the request names details instead.
 * Nothing unnamed is granted.
 * @throws OAuthError `invalid_scope`
 * @see RFC 6749 §3.3
 */
export function requestedScope(
  form: Form,
  registered: AgentResource,
  details: readonly AuthorizationDetail[],
): readonly string[] {
  const named = namedScope(form);
  if (named !== undefined) return named;
  if (details.length > 0) return [];
  if (registered.scope.length > 0) return registered.scope;
  throw new OAuthError('invalid_scope', 'name the scopes: this agent has no default ones on this resource');
}

/** The scopes that the request names, if it does. @throws OAuthError `invalid_scope` */
export function namedScope(form: Form): readonly string[] | undefined {
  const named = single(form, 'scope');
  if (named === undefined) return undefined;
  try {
    return parseScope(named);
  } catch (error) {
    if (error instanceof ProtocolError) throw new OAuthError('invalid_scope', error.message);
    throw error;
  }
}

const notGiven = () => new OAuthError('invalid_target', 'this agent was not given such a resource');
