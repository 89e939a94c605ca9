import type { Migration } from '../migrate.ts';

/**
 * The registry: who exists, whose it is, and what it may use. Whether a thing is alive stands in `subjects`
 * (migration 0001): rows of what has a name or a key are
 * never deleted when it ends, so that neither is used again. What was given away (a role, a membership) is deleted.
 */
export const registry: Migration = {
  number: 2,
  name: 'registry',
  statements: () => [
    `create table organizations (
      id text primary key,
      name text not null unique,
      display_name text not null,
      created_at bigint not null
    )`,
    `create table people (
      id text primary key,
      org text not null references organizations (id),
      name text not null,
      email text,
      created_at bigint not null
    )`,
    'create index people_by_org on people (org, id)',
    `create table teams (
      id text primary key,
      org text not null references organizations (id),
      name text not null,
      display_name text not null,
      created_at bigint not null,
      unique (org, name)
    )`,
    'create index teams_by_org on teams (org, id)',
    `create table team_members (
      team text not null references teams (id),
      person text not null references people (id),
      primary key (team, person)
    )`,
    'create index team_members_by_person on team_members (person, team)',
    `create table agents (
      id text primary key,
      org text not null references organizations (id),
      name text not null,
      kind text not null,
      owner text not null,
      purpose text not null,
      environment text not null,
      expires_at bigint,
      grants text not null,
      resources text not null,
      limits text not null,
      created_at bigint not null,
      updated_at bigint not null,
      unique (org, name)
    )`,
    'create index agents_by_org on agents (org, id)',
    'create index agents_by_owner on agents (owner, id)',
    `create table credentials (
      id text primary key,
      agent text not null references agents (id),
      org text not null references organizations (id),
      kind text not null,
      thumbprint text not null unique,
      kid text not null,
      alg text not null,
      jwk text not null,
      label text not null,
      created_at bigint not null,
      expires_at bigint,
      last_used_at bigint
    )`,
    'create index credentials_by_agent on credentials (agent, id)',
    'create index credentials_by_kid on credentials (kid)',
    'create index credentials_by_org on credentials (org, id)',
    `create table resources (
      id text primary key,
      org text not null references organizations (id),
      identifier text not null unique,
      name text not null,
      scopes text not null,
      operations text not null,
      token text not null,
      system integer not null,
      created_at bigint not null,
      updated_at bigint not null
    )`,
    'create index resources_by_org on resources (org, id)',
    // Every name a token may carry as `aud`: an audience that one resource answers to cannot be claimed by another.
    `create table audiences (
      audience text not null,
      resource text not null references resources (id),
      identifies integer not null,
      primary key (audience, resource)
    )`,
    `create table roles (
      id text primary key,
      org text not null references organizations (id),
      name text not null,
      description text not null,
      permissions text not null,
      system integer not null,
      created_at bigint not null,
      updated_at bigint not null,
      unique (org, name)
    )`,
    'create index roles_by_org on roles (org, id)',
    `create table role_grants (
      id text primary key,
      org text not null references organizations (id),
      agent text not null references agents (id),
      role text not null references roles (id),
      created_at bigint not null,
      unique (agent, role)
    )`,
    'create index role_grants_by_role on role_grants (role, agent)',
    `create table guards (
      id text primary key,
      org text not null references organizations (id),
      resource text not null references resources (id),
      agent text not null unique references agents (id),
      created_at bigint not null
    )`,
    'create index guards_by_resource on guards (resource, id)',
    'create index guards_by_org on guards (org, id)',
    `create table idempotency (
      key text primary key,
      request_hash text not null,
      status integer,
      body text,
      expires_at bigint not null
    )`,
    'create index idempotency_by_end on idempotency (expires_at)',
  ],
};
