/** Makes the changes of a plan, one request each. */
import type { Api } from '../api.ts';
import { CliError } from '../errors.ts';
import { resourceFromFile } from '../nouns/resource-options.ts';
import type { Change, FieldChange, Noun, Present } from './changes.ts';
import type { Fleet, FleetAgent } from './fleet.ts';
import { issuerBody } from './issuers.ts';
import { mandateBody } from './mandates.ts';
import { applyPolicy, type WantedPolicy } from './policies.ts';
import { applyTrustDomain, type WantedBundle } from './trust-domains.ts';

export interface Doer {
  /** @throws CliError as the server answers */
  do(change: Change): Promise<void>;
}

/** Remembers the ids of what it makes, so that later changes can refer to them by name. */
export function newDoer(
  api: Api,
  fleet: Fleet,
  present: Present,
  bundles: ReadonlyMap<string, WantedBundle>,
  policies: ReadonlyMap<string, WantedPolicy>,
): Doer {
  const ids = knownIds(present);
  const id = (noun: Noun, name: string): string => {
    const known =
      ids.get(`${noun}:${name}`) ?? (name.includes('://') ? ids.get(`identifier:${name}`) : undefined) ?? name;
    if (/^[a-z]{3}_[0-9a-z]{26}$/.test(known)) return known;
    throw new CliError('not_found', `there is no ${noun} "${name}", here or in the file.`);
  };
  const ownerId = (owner: string) => {
    const [kind, name = ''] = owner.split(/:(.*)/s);
    if (kind === 'team' || kind === 'person') return id(kind, name);
    return id(ids.has(`team:${owner}`) ? 'team' : 'person', owner);
  };

  async function save(change: Change, collection: string, body: Record<string, unknown>): Promise<string> {
    if (change.action === 'update') {
      const there = change.id ?? id(change.noun, change.name); // made a moment ago
      await api.patch(`${collection}/${there}`, body);
      return there;
    }
    const { id: made } = await api.create<{ id: string }>(collection, body);
    ids.set(`${change.noun}:${change.name}`, made);
    return made;
  }

  /** Of a body, what the plan says is different; all of it for something new. */
  const changed = (change: Change, body: Record<string, unknown>) => {
    if (change.action === 'create') return withoutUndefined(body);
    const fields = new Set(change.fields.map(({ field }) => field));
    return withoutUndefined(Object.fromEntries(Object.entries(body).filter(([name]) => fields.has(name))));
  };

  const work: Record<Noun, (change: Change) => Promise<unknown>> = {
    trust_domain: (change) => applyTrustDomain(api, fleet, bundles, change),
    person: (change) => save(change, '/people', changed(change, { name: change.name, ...fleet.people[change.name] })),
    async team(change) {
      const { display_name, members } = fleet.teams[change.name] ?? {};
      const body = changed(change, { name: change.name, display_name });
      const team =
        change.id !== undefined && Object.keys(body).length === 0 ? change.id : await save(change, '/teams', body);
      const before = change.fields.find(({ field }) => field === 'members')?.before as string[] | undefined;
      for (const member of members ?? []) {
        if (!before?.includes(member)) await api.put(`/teams/${team}/members/${id('person', member)}`, undefined);
      }
      for (const member of before ?? []) {
        if (!members?.includes(member)) await api.delete(`/teams/${team}/members/${id('person', member)}`);
      }
    },
    async resource(change) {
      const wanted = fleet.resources[change.name];
      if (wanted === undefined) return;
      const { transactions = [], ...token } = wanted.token ?? {};
      const { served_by: _, ...body } = resourceFromFile(wanted);
      const own = {
        ...body,
        name: change.name,
        token: replaced(change, 'token', wanted.token && token),
        feed: replaced(change, 'feed', wanted.feed),
      };
      // in a change of its own, once all that they refer to is there
      const has = (name: string) => change.action === 'update' && change.fields.some(({ field }) => field === name);
      const made = await save(change, '/resources', {
        ...changed(change, own),
        ...(has('served_by') && { served_by: wanted.served_by?.map((name) => id('agent', name)) }),
        ...(has('transactions') && { token: { transactions: transactions.map((name) => id('resource', name)) } }),
      });
      ids.set(`identifier:${wanted.identifier}`, made);
    },
    role(change) {
      const wanted = fleet.roles[change.name];
      const { permissions, details } = wanted ?? {};
      const names = [...new Set([...Object.keys(permissions ?? {}), ...Object.keys(details ?? {})])];
      const body = {
        name: change.name,
        description: wanted?.description,
        permissions:
          permissions === undefined && details === undefined
            ? undefined
            : names.map((name) => ({
                resource: id('resource', name),
                scopes: permissions?.[name] ?? [],
                ...(details?.[name] && { details: details[name] }),
              })),
        inherits: wanted?.inherits?.map((name) => id('role', name)),
      };
      return save(change, '/roles', changed(change, body));
    },
    policy: (change) => applyPolicy(api, policies, change),
    async agent(change) {
      const wanted = fleet.agents[change.name];
      if (wanted !== undefined) await save(change, '/agents', changed(change, agentBody(change, wanted)));
    },
    key: addCredential,
    credential: addCredential,
    async trusted_issuer(change) {
      const wanted = fleet.trusted_issuers[change.name];
      if (wanted === undefined) return;
      await save(change, '/trusted-issuers', changed(change, { issuer: change.name, ...issuerBody(wanted, id) }));
    },
    async mandate(change) {
      const wanted = fleet.mandates[change.name];
      if (wanted === undefined) return;
      const body = mandateBody(wanted, id);
      for (const part of ['context', 'task', 'limits', 'passing'] as const) {
        body[part] = replaced(change, part, body[part] as object | undefined);
      }
      await save(change, '/mandates', changed(change, { name: change.name, ...body }));
    },
    grant: ({ agent = '', name }) => api.put(`/agents/${id('agent', agent)}/roles/${id('role', name)}`, undefined),
  };

  async function addCredential({ credential, agent = '' }: Change): Promise<void> {
    if (credential === undefined) return;
    const { body, label, expires_at } = credential;
    await api.post('/credentials', withoutUndefined({ agent: id('agent', agent), ...body, label, expires_at }));
  }

  function agentBody(change: Change, wanted: FleetAgent): Record<string, unknown> {
    const shown = change.fields.find(({ field }) => field === 'resources')?.after as
      | Record<string, { default: boolean; scope: string[] }>
      | undefined;
    return {
      name: change.name,
      kind: wanted.kind ?? 'ai_agent',
      owner: ownerId(wanted.owner),
      purpose: wanted.purpose,
      environment: wanted.environment,
      expires_at: wanted.expires_at,
      grants: wanted.grants,
      resources: shown && Object.entries(shown).map(([name, use]) => ({ resource: id('resource', name), ...use })),
      limits: replaced(change, 'limits', wanted.limits),
      context: replaced(change, 'context', wanted.context),
      instances: replaced(change, 'instances', wanted.instances),
    };
  }

  return {
    async do(change) {
      if (change.action === 'end') await end(api, change, (name) => id('agent', name));
      else await work[change.noun](change);
    },
  };
}

async function end(api: Api, { noun, id = '', agent = '' }: Change, agentId: (name: string) => string): Promise<void> {
  switch (noun) {
    case 'policy':
      await api.post(`/policies/${id}/remove`, { reason: 'not in the fleet file' });
      return;
    case 'trusted_issuer':
      await api.post(`/trusted-issuers/${id}/remove`, { reason: 'not in the fleet file' });
      return;
    case 'mandate':
      await api.post(`/mandates/${id}/end`, { reason: 'not in the fleet file' });
      return;
    case 'agent':
    case 'role':
    case 'resource':
      await api.post(`/${noun}s/${id}/retire`, { reason: 'not in the fleet file' });
      return;
    case 'grant':
      return api.delete(`/agents/${agentId(agent)}/roles/${id}`);
    case 'key':
    case 'credential':
      return api.delete(`/credentials/${id}`);
    default:
      throw new Error(`nothing ends a ${noun}`);
  }
}

/** A nested object as a whole: what is no longer there is said to be gone, since a patch would leave it. */
function replaced(change: Change, name: string, wanted: object | undefined): Record<string, unknown> | undefined {
  if (wanted === undefined) return undefined;
  const field: FieldChange | undefined = change.fields.find((one) => one.field === name);
  const gone = Object.keys((field?.before as object | undefined) ?? {}).filter((key) => !(key in wanted));
  return { ...Object.fromEntries(gone.map((key) => [key, null])), ...wanted };
}

function withoutUndefined(body: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined));
}

function knownIds(present: Present): Map<string, string> {
  const ids = new Map<string, string>();
  const learn = (noun: Noun, all: readonly { id: string; name: string; status: string }[]) => {
    for (const { id, name, status } of all)
      if (status !== 'retired' && status !== 'erased') ids.set(`${noun}:${name}`, id);
  };
  learn('person', present.people);
  learn('team', present.teams);
  learn('resource', present.resources);
  learn('role', present.roles);
  learn('agent', present.agents);
  for (const { id, identifier } of present.resources) ids.set(`identifier:${identifier}`, id);
  return ids;
}
