/** Names or ids are accepted everywhere: this turns either into what it names. */
import { didYouMeanHint } from '../lib/did-you-mean.ts';
import { type IdKind, isId } from '../lib/ids.ts';
import type { Api } from './api.ts';
import { CliError } from './errors.ts';
import type {
  Agent,
  ListedPolicy,
  Organization,
  Person,
  Policy,
  Resource,
  Role,
  Team,
  TrustDomain,
} from './registry.ts';

interface Named {
  id: string;
  name: string;
  status?: string;
}

/** An agent by name or id. @throws CliError (not_found) with the nearest name */
export const findAgent = (api: Api, text: string) => find<Agent>(api, 'agent', '/agents', text);
export const findRole = (api: Api, text: string) => find<Role>(api, 'role', '/roles', text);
export const findTeam = (api: Api, text: string) => find<Team>(api, 'team', '/teams', text);

export const findOrganization = (api: Api, text: string) =>
  find<Organization>(api, 'organization', '/organizations', text);

/** A person by id, name or address. */
export async function findPerson(api: Api, text: string): Promise<Person> {
  if (isId('person', text)) return api.get<Person>(`/people/${text}`);
  const people = text.includes('@')
    ? await api.list<Person>('/people', { email: text })
    : await api.list<Person>('/people');
  return only('person', text, people, (one) => one.name === text || one.email === text);
}

/** A resource by id, name or identifier. */
export async function findResource(api: Api, text: string): Promise<Resource> {
  if (isId('resource', text)) return api.get<Resource>(`/resources/${text}`);
  const found = await api.list<Resource>('/resources', text.includes('://') ? { identifier: text } : { name: text });
  const all = found.length > 0 ? found : await api.list<Resource>('/resources', {}, 200);
  return only('resource', text, all, (one) => one.identifier === text || one.name === text);
}

/** A foreign trust domain by id or name. */
export async function findTrustDomain(api: Api, text: string): Promise<TrustDomain> {
  if (isId('trust_domain', text)) return api.get<TrustDomain>(`/trust-domains/${text}`);
  return only('trust domain', text, await api.list<TrustDomain>('/trust-domains'), ({ name }) => name === text);
}

/** A policy by id or name, removed or not. @throws CliError (not_found) with the nearest name */
export async function findPolicy(api: Api, text: string): Promise<Policy> {
  if (isId('policy', text)) return api.get<Policy>(`/policies/${text}`);
  const found = isSlug(text) ? await api.list<ListedPolicy>('/policies', { name: text }) : [];
  const all = found.length > 0 ? found : await api.list<ListedPolicy>('/policies', {}, 200);
  return api.get<Policy>(`/policies/${only('policy', text, all, ({ name }) => name === text).id}`);
}

/** The person or team that `team:support`, `person:ada`, a name or an id names. */
export async function findOwner(api: Api, text: string): Promise<Named> {
  const [kind, name = ''] = text.split(/:(.*)/s);
  if (kind === 'team') return findTeam(api, name);
  if (kind === 'person') return findPerson(api, name);
  if (isId('person', text) || text.includes('@')) return findPerson(api, text);
  if (isId('team', text)) return findTeam(api, text);
  const owners = [...(await api.list<Team>('/teams')), ...(await api.list<Person>('/people'))];
  return only<Named>('team or person', text, owners, (one) => one.name === text);
}

async function find<T extends Named>(api: Api, kind: IdKind, path: string, text: string): Promise<T> {
  if (isId(kind, text)) return api.get<T>(`${path}/${text}`);
  const found = isSlug(text) ? await api.list<T>(path, { name: text }) : [];
  // none: the nearest names are worth another look
  return only(kind, text, found.length > 0 ? found : await api.list<T>(path, {}, 200), (one) => one.name === text);
}

const isSlug = (text: string) => /^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/.test(text);

const lists: Readonly<Record<string, string>> = {
  agent: 'agents',
  role: 'roles',
  resource: 'resources',
  team: 'teams',
  person: 'people',
  'trust domain': 'trust-domains',
  'team or person': 'teams',
  policy: 'policy',
};

function only<T extends Named>(kind: string, text: string, all: readonly T[], matches: (one: T) => boolean): T {
  const matching = all.filter(matches);
  const living = matching.filter(({ status }) => status !== 'retired' && status !== 'erased');
  const found = living.length > 0 ? living : matching;
  const [first] = found;
  if (first === undefined) {
    const names = all.map((one) => one.name);
    const where = lists[kind];
    throw new CliError('not_found', `There is no ${kind} "${text}".${didYouMeanHint(text, names)}`, {
      hint: where === undefined ? undefined : `See \`bailiwick ${where} list\`.`,
    });
  }
  if (found.length > 1) {
    const which = found.map((one) => {
      const more = (one as { identifier?: string }).identifier;
      return more === undefined ? one.id : `${one.id} (${more})`;
    });
    throw new CliError('usage', `There are ${found.length} of the name "${text}": ${which.join(', ')}.`, {
      hint: 'Use the id of the one you mean.',
    });
  }
  return first;
}

/** Ids to names, for showing: what isn't found stays an id. */
export function namer(...lists: readonly (readonly Named[])[]): (id: string) => string {
  const names = new Map(lists.flat().map(({ id, name }) => [id, name]));
  return (id) => names.get(id) ?? id;
}

/** The names of all who can own something. */
export async function ownerNamer(api: Api): Promise<(id: string) => string> {
  return namer(await api.list<Team>('/teams'), await api.list<Person>('/people'));
}
