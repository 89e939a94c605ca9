import type { Migration } from '../migrate.ts';

/** What people let agents do for them, and how much of it was done. */
export const mandates: Migration = {
  number: 17,
  name: 'mandates',
  statements: [
    `create table mandates (
       id text primary key,
       org text not null,
       person text not null,
       agent text not null,
       instance text,
       parent text,
       ancestors text not null,
       resources text not null,
       context text,
       task text,
       limits text,
       passing text not null,
       given text not null,
       created_at bigint not null,
       ends_at bigint not null,
       ended_at bigint
     )`,
    'create index mandates_by_org on mandates (org, id)',
    'create index mandates_by_agent on mandates (agent, id)',
    'create index mandates_by_person on mandates (person, id)',
    'create index mandates_by_parent on mandates (parent, id)',
    'create index mandates_by_end on mandates (ends_at)',
    'create index mandates_by_early_end on mandates (ended_at) where ended_at is not null',
    // how much of what a mandate limits was spent, by its own tokens and those of all that it was passed on to
    `create table mandate_ledger (
       mandate text not null,
       counter text not null,
       spent bigint not null,
       most bigint not null,
       primary key (mandate, counter)
     )`,
  ],
};
