import type { Migration } from '../migrate.ts';

/**
 * How many instances of an agent live, kept exactly without looking at each of them; and what finds the credentials that
 * an agent can prove itself with among a million enrolment tokens of the past.
 */
export const enrolment: Migration = {
  number: 6,
  name: 'enrolment',
  statements: () => [
    // `living`: how many instances of the agent end after `counted_to`. `looked`: when those were struck out last that were
    // stopped with their agent or credential
    `create table instance_counts (
      agent text primary key,
      living bigint not null,
      counted_to bigint not null,
      looked_at bigint not null,
      looked_rev bigint not null
    )`,
    // a parent may have had a million children: what lives of them is found without the others
    'drop index instances_by_parent',
    'create index instances_by_parent on instances (parent, expires_at) where parent is not null',
    'create index instances_by_name on instances (parent, name, expires_at) where parent is not null',
    "create index credentials_provable on credentials (agent, id) where kind <> 'enrolment_token'",
    "create index enrolment_tokens_unused on credentials (agent, expires_at) where kind = 'enrolment_token' and used_at is null",
  ],
};
