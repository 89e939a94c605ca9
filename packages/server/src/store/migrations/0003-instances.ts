import type { Migration } from '../migrate.ts';

/**
 * Running copies of agents, and every kind of credential. `credentials` is made anew, because neither database lets a
 * column lose its `not null` in the same words.
 */
export const instances: Migration = {
  number: 3,
  name: 'instances',
  statements: () => [
    "alter table agents add column instances text not null default '{}'",

    `create table credentials_anew (
      id text primary key,
      agent text not null references agents (id),
      org text not null references organizations (id),
      kind text not null,
      thumbprint text not null unique,
      kid text,
      alg text,
      jwk text,
      detail text,
      label text not null,
      created_at bigint not null,
      expires_at bigint,
      last_used_at bigint,
      used_at bigint
    )`,
    `insert into credentials_anew
       (id, agent, org, kind, thumbprint, kid, alg, jwk, label, created_at, expires_at, last_used_at)
     select id, agent, org, kind, thumbprint, kid, alg, jwk, label, created_at, expires_at, last_used_at from credentials`,
    'drop table credentials',
    'alter table credentials_anew rename to credentials',
    'create index credentials_by_agent on credentials (agent, id)',
    'create index credentials_by_kid on credentials (kid)',
    'create index credentials_by_org on credentials (org, id)',

    `create table instances (
      id text primary key,
      org text not null,
      agent text not null,
      parent text,
      ancestors text not null,
      name text,
      spiffe_id text not null,
      credential text not null,
      rests_until bigint,
      thumbprint text not null,
      alg text not null,
      jwk text not null,
      attributes text not null,
      allowed text,
      rev bigint not null,
      created_at bigint not null,
      renewed_at bigint not null,
      expires_at bigint not null
    )`,
    'create unique index instances_by_key on instances (thumbprint)',
    'create index instances_by_agent on instances (agent, expires_at)',
    'create index instances_by_org on instances (org, id)',
    'create index instances_by_parent on instances (parent) where parent is not null',
  ],
};
