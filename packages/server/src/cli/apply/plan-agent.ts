/** What has to change of an agent, its keys and its roles. */

import { whatItIs } from '../credential-words.ts';
import type { Credential } from '../registry.ts';
import {
  type Change,
  change,
  find,
  type Noun,
  type Present,
  type WantedCredential,
  type WantedOfAgent,
} from './changes.ts';
import type { Fleet, FleetAgent } from './fleet.ts';

type Name = (reference: string) => string;

/** How names and ids of others are told apart: each turns what the file or the server says into one name. */
export interface Names {
  nameOf: Name;
  ownerName: Name;
  resourceName: Name;
}

/** The agent itself first, then its keys, its other credentials and its roles. */
export function agentChanges(
  name: string,
  wanted: FleetAgent,
  { fleet, present, names }: { fleet: Fleet; present: Present; names: Names },
  { keys, credentials }: WantedOfAgent,
): Change[] {
  const agent = find(present.agents, name);
  const { nameOf } = names;
  const held = agent?.roles ?? [];
  const roles = wanted.roles ?? held.map((role) => role.name);
  const values = agentValues(wanted, names, scopesGiven(fleet, present, names, roles));
  const ownChanges = change('agent', name, agent, values, (one) => ({
    kind: one.kind,
    owner: `${one.owner.startsWith('tea_') ? 'team' : 'person'}:${nameOf(one.owner)}`,
    purpose: one.purpose,
    environment: one.environment,
    expires_at: one.expires_at && new Date(one.expires_at).toISOString(),
    grants: one.grants.toSorted(),
    resources: Object.fromEntries(
      one.resources.map((use) => [nameOf(use.resource), { default: use.default, scope: use.scope.toSorted() }]),
    ),
    limits: one.limits,
    context: one.context,
    instances: one.instances,
  }));
  const own = present.credentials.filter((credential) => credential.agent === agent?.id);
  const addedRoles = roles.filter((name) => !held.some((role) => role.name === name));
  const endedRoles = held.filter((role) => !roles.includes(role.name));
  const part = (action: 'create' | 'end', noun: Noun, what: string, rest: Partial<Change>): Change => ({
    action,
    noun,
    name: what,
    agent: name,
    fields: [],
    ...rest,
  });
  const given = (noun: Noun, all: readonly WantedCredential[] | undefined, held: readonly Credential[]) =>
    all === undefined
      ? []
      : [
          ...all.filter(isNotIn(held)).map((one) => part('create', noun, one.title, { credential: one })),
          ...held
            .filter(isNotIn(all))
            .map((one) => part('end', noun, one.label || one.kid || whatItIs(one), { id: one.id })),
        ];
  return [
    ...ownChanges,
    ...given('key', keys, own.filter(isKey)),
    ...given('credential', credentials, own.filter(isNamed)),
    ...addedRoles.map((role) => part('create', 'grant', role, {})),
    ...endedRoles.map((role) => part('end', 'grant', role.name, { id: role.id })),
  ];
}

const isNotIn = (all: readonly { thumbprint: string }[]) => (one: { thumbprint: string }) =>
  !all.some(({ thumbprint }) => thumbprint === one.thumbprint);

const isKey = ({ kind }: Credential) => kind === 'public_key';
/** Secrets and enrolment tokens are no file's to say or to end. */
const isNamed = ({ kind }: Credential) =>
  kind === 'certificate' || kind === 'certificate_subject' || kind === 'spiffe_id';

function agentValues(
  wanted: FleetAgent,
  { ownerName, resourceName }: Names,
  scopesOf: (resource: string) => string[],
): Record<string, unknown> {
  return {
    kind: wanted.kind,
    owner: ownerName(wanted.owner),
    purpose: wanted.purpose,
    environment: wanted.environment,
    expires_at: wanted.expires_at && new Date(wanted.expires_at).toISOString(),
    grants: wanted.grants?.toSorted(),
    resources:
      wanted.resources &&
      Object.fromEntries(
        Object.entries(wanted.resources).map(([name, use]) => [
          resourceName(name),
          {
            default: use.default ?? Object.keys(wanted.resources ?? {}).length === 1,
            scope: (use.scope ?? scopesOf(resourceName(name))).toSorted(),
          },
        ]),
      ),
    limits: wanted.limits,
    context: wanted.context,
    instances: wanted.instances,
  };
}

/** What roles give on a resource, as the file says it or else the server: an agent's scopes there unless it names others. */
function scopesGiven(fleet: Fleet, present: Present, { nameOf, resourceName }: Names, roles: readonly string[]) {
  const inherited = (name: string) =>
    fleet.roles[name]?.inherits ?? (find(present.roles, name)?.inherits ?? []).map(nameOf);
  const all = [...new Set(roles.flatMap((name) => [name, ...inherited(name)]))];
  const permissions = all.flatMap((name) => {
    const wanted = fleet.roles[name]?.permissions;
    if (wanted !== undefined)
      return Object.entries(wanted).map(([resource, scopes]) => [resourceName(resource), scopes] as const);
    return (find(present.roles, name)?.permissions ?? []).map(
      ({ resource, scopes }) => [nameOf(resource), scopes] as const,
    );
  });
  return (resource: string) => [
    ...new Set(permissions.filter(([name]) => name === resource).flatMap(([, scopes]) => scopes)),
  ];
}
