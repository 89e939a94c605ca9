import type { Migration } from '../migrate.ts';

/** What agents ask others for of their mandates. It is pending until it is answered, or its time is up. */
export const mandateRequests: Migration = {
  number: 22,
  name: 'mandate requests',
  statements: [
    `create table mandate_requests (
       id text primary key,
       org text not null,
       agent text not null,
       instance text,
       holder text not null,
       wanted text not null,
       why text,
       state text not null default 'pending',
       mandate text,
       reason text,
       rests_on text not null,
       rev bigint not null,
       created_at bigint not null,
       answer_by bigint not null,
       answered_at bigint
     )`,
    'create index mandate_requests_by_org on mandate_requests (org, id)',
    'create index mandate_requests_by_agent on mandate_requests (agent, id)',
    'create index mandate_requests_by_holder on mandate_requests (holder, id)',
    // those that wait: few, whatever was asked and answered that day
    "create index mandate_requests_waiting on mandate_requests (holder, id) where state = 'pending'",
    "create index mandate_requests_pending on mandate_requests (agent, answer_by) where state = 'pending'",
    'create index mandate_requests_by_end on mandate_requests (answer_by)',
    'create index mandate_requests_by_mandate on mandate_requests (mandate) where mandate is not null',
  ],
};
