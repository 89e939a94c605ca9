/** Everything that can be revoked, in one table: API, command line and documentation derive from it. A new kind is one row. */
import { isId } from '../lib/ids.ts';
import type { Revocable } from './revocable.ts';
import { agents, credentials, instances, roleGrants, tasks } from './revoke-agent.ts';
import { trustedIssuers } from './revoke-issuer.ts';
import { mandates } from './revoke-mandate.ts';
import { keys, organizations, people, resources, roles, teams } from './revoke-registry.ts';
import { tokens } from './revoke-token.ts';

// biome-ignore lint/suspicious/noExplicitAny: each row finds what it revokes, so that the two always fit
type Row = Revocable<any>;

export const revocables = {
  token: tokens,
  task: tasks,
  instance: instances,
  credential: credentials,
  agent: agents,
  role: roles,
  role_grant: roleGrants,
  mandate: mandates,
  trusted_issuer: trustedIssuers,
  person: people,
  team: teams,
  organization: organizations,
  resource: resources,
  key: keys,
} as const satisfies Record<string, Row>;

export type RevocableKind = keyof typeof revocables;

export const revocableKinds = Object.keys(revocables) as [RevocableKind, ...RevocableKind[]];

export const revocable = (kind: RevocableKind): Row => revocables[kind];

/** What the kind of an id says of the kind of thing; undefined for what has no prefix: a `jti`, a `kid`, a name. */
export function kindOfId(text: string): RevocableKind | undefined {
  if (isId('grant', text)) return 'role_grant';
  return revocableKinds.find((kind) => kind !== 'token' && kind !== 'key' && kind !== 'role_grant' && isId(kind, text));
}
