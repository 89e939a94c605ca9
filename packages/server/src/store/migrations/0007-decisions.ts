import type { Migration } from '../migrate.ts';

/** What decisions in context rest on: tasks, policies, details, and where an agent's tokens may be used. */
export const decisions: Migration = {
  number: 7,
  name: 'decisions',
  statements: () => [
    "alter table agents add column context text not null default '{}'",
    "alter table organizations add column time_zone text not null default 'UTC'",
    "alter table resources add column details_types text not null default '[]'",
    "alter table roles add column inherits text not null default '[]'",
    `create table tasks (
      id text primary key,
      org text not null,
      agent text not null,
      orchestrator text not null,
      workflow text not null,
      step text,
      environment text,
      purpose text not null,
      resources text,
      rests_on text not null,
      rev bigint not null,
      created_at bigint not null,
      ends_at bigint not null,
      ended_at bigint
    )`,
    'create index tasks_by_org on tasks (org, id)',
    'create index tasks_by_agent on tasks (agent, ends_at, ended_at)',
    'create index tasks_by_end on tasks (ends_at)',
    `create table policies (
      id text primary key,
      org text not null,
      name text not null,
      created_at bigint not null,
      unique (org, name)
    )`,
    `create table policy_versions (
      org text not null,
      revision bigint not null,
      policy text not null,
      text text not null,
      mode text not null,
      author text not null,
      reason text not null,
      created_at bigint not null,
      primary key (org, revision)
    )`,
    'create index policy_versions_by_policy on policy_versions (policy, revision)',
  ],
};
